/** Columns of numbers that grow. Rows beyond the end of a column read as nothing, so zeros at its end need no room. */
export type Column = Uint8Array | Uint32Array | Float64Array;

/** The column with room for so many rows: itself where there is enough. */
export function withRoom<C extends Column>(column: C, rows: number): C {
  if (rows <= column.length) return column;
  const Larger = column.constructor as new (length: number) => C;
  const larger = new Larger(Math.max(16, rows, Math.ceil(column.length * 1.5)));
  larger.set(column);
  return larger;
}

/** Puts a value there, where it is not a zero that is read there anyway. */
export function put<C extends Column>(column: C, row: number, value: number): C {
  if (value === 0 && row >= column.length) return column;
  const wide = withRoom(column, row + 1);
  wide[row] = value;
  return wide;
}
