/** Where a command speaks: results on stdout, talk on stderr, colours only for a person who wants them. */
import picocolors from 'picocolors';

export type Colors = ReturnType<typeof picocolors.createColors>;

export interface Output {
  /** Results, for people and programs. */
  result(text: string): void;
  /** Bytes as they are, on either stream; absent where only text is taken. */
  bytes?(stream: 'stdout' | 'stderr', bytes: Uint8Array): void;
  /** Progress and remarks. */
  say(text: string): void;
  /** Whether stderr is a terminal that lines can be rewritten on. */
  readonly isInteractive: boolean;
  readonly colors: Colors;
}

interface Stream {
  write(text: string | Uint8Array): unknown;
  readonly isTTY?: boolean;
}

/** https://no-color.org: set and not empty means no colours. */
export function streamOutput(
  stdout: Stream,
  stderr: Stream,
  env: Readonly<Record<string, string | undefined>>,
): Output {
  const isInteractive = stderr.isTTY === true && env['TERM'] !== 'dumb' && env['CI'] === undefined;
  const wantsColor = (env['NO_COLOR'] ?? '') === '' && (stderr.isTTY === true || (env['FORCE_COLOR'] ?? '') !== '');
  return {
    result: (text) => void stdout.write(text),
    bytes: (stream, bytes) => void (stream === 'stdout' ? stdout : stderr).write(bytes),
    say: (text) => void stderr.write(text),
    isInteractive,
    colors: picocolors.createColors(wantsColor && env['TERM'] !== 'dumb'),
  };
}

/** One JSON document, on one line. */
export function printJson(output: Output, value: unknown): void {
  output.result(`${JSON.stringify(value)}\n`);
}

/** Columns as wide as their widest cell, two blanks apart. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const lines = all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

/** @example counted(1, 'layer') // '1 layer' */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}

/** @example formatAge(90_000) // '1m' */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}
