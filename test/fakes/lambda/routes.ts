/** Which route of an HTTP API takes a request: the most specific one, `{proxy+}` for the rest of a path, then $default. */
export interface Route<T> {
  /** `ANY /v2/{proxy+}`, or `$default`. */
  readonly key: string;
  readonly target: T;
}

export type Routes<T> = readonly Route<T>[];

export function routeOf<T>(
  routes: Routes<T>,
  method: string,
  path: string,
): { readonly routeKey: string; readonly target: T } | undefined {
  const fitting = routes.filter(({ key }) => fits(key, method, path));
  const [best] = fitting.sort((a, b) => rank(b.key) - rank(a.key));
  return best === undefined ? undefined : { routeKey: best.key, target: best.target };
}

function fits(key: string, method: string, path: string): boolean {
  if (key === '$default') return true;
  const [wanted = '', pattern = ''] = key.split(' ');
  if (wanted !== 'ANY' && wanted !== method) return false;
  const parts = pattern.split('/');
  const given = path.split('/');
  for (const [index, part] of parts.entries()) {
    if (/^\{.*\+\}$/.test(part)) return given.length > index && given[index] !== '';
    if (given[index] === undefined) return false;
    if (!/^\{.*\}$/.test(part) && part !== given[index]) return false;
  }
  return parts.length === given.length;
}

/** A path in full counts more than a variable, that more than the rest of a path, and that more than $default. */
function rank(key: string): number {
  if (key === '$default') return 0;
  const specific = key.includes('+}') ? 1 : key.includes('{') ? 2 : 3;
  return specific * 2 + (key.startsWith('ANY') ? 0 : 1);
}
