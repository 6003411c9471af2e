/** The `Retry-After` header (RFC 9110, section 10.2.3): seconds, or a date. */

/** Milliseconds from now, never negative; undefined when it is absent or cannot be read. */
export function retryAfterMs(response: { readonly headers: Headers }, nowMs: number): number | undefined {
  const value = response.headers.get('retry-after')?.trim() ?? '';
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const atMs = /^[A-Z][a-z]{2}, /.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}
