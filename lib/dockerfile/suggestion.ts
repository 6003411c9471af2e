/** The nearest accepted word to a misspelt one, for hints. */

const MAX_DISTANCE = 2;
/** Longer words are no slips of the finger, and would be slow to compare. */
const MAX_LENGTH = 100;

/** The option at most two edits away, in the case it was asked in; undefined when none is near. */
export function nearest(
  word: string,
  options: Iterable<string>,
  caseSensitive: 'exact' | 'any' = 'any',
): string | undefined {
  const fold = (text: string): string => (caseSensitive === 'exact' ? text : text.toLowerCase());
  if (word.length > MAX_LENGTH) return undefined;
  const wanted = fold(word);
  let best: string | undefined;
  let least = MAX_DISTANCE + 1;
  for (const option of options) {
    if (fold(option) === wanted) return undefined;
    const distance = editDistance(wanted, fold(option), least);
    if (distance < least) {
      least = distance;
      best = option;
    }
  }
  if (best === undefined || caseSensitive === 'exact') return best;
  return word === word.toLowerCase() ? best.toLowerCase() : best;
}

/** Insertions, deletions, replacements and swaps of neighbours from one to the other, or `limit` when it is that many. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row.push(
        Math.min(
          (previous[j] ?? 0) + 1,
          (row[j - 1] ?? 0) + 1,
          (previous[j - 1] ?? 0) + cost,
          isSwap ? (before[j - 2] ?? 0) + 1 : limit,
        ),
      );
    }
    if (Math.min(...row) >= limit && Math.min(...previous) >= limit) return limit;
    before = previous;
    previous = row;
  }
  return Math.min(previous[b.length] ?? limit, limit);
}
