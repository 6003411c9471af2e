/** Pages of a sorted list: the token names the last item that was handed out, so that later changes do no harm. */
import { invalidParameter } from '../ecs-error.js';

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextToken?: string;
}

/**
 * @param keyOf unique and ascending over `sorted`
 * @throws InvalidParameterException for a token that no list of ours made
 */
export function pageOf<T>(
  sorted: readonly T[],
  keyOf: (item: T) => string,
  request: { readonly nextToken?: string | undefined; readonly maxResults?: number | undefined },
  defaultSize = 100,
): Page<T> {
  const after = request.nextToken === undefined ? undefined : decode(request.nextToken);
  const start = after === undefined ? 0 : sorted.findIndex((item) => compare(keyOf(item), after) > 0);
  if (start < 0) return { items: [] };
  const size = request.maxResults ?? defaultSize;
  const items = sorted.slice(start, start + size);
  const last = items.at(-1);
  if (last === undefined || start + size >= sorted.length) return { items };
  return { items, nextToken: Buffer.from(JSON.stringify([keyOf(last)])).toString('base64url') };
}

export function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function decode(token: string): string {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
    if (Array.isArray(value) && typeof value[0] === 'string') return value[0];
  } catch {
    // Not ours: refused below.
  }
  throw invalidParameter('Invalid token');
}
