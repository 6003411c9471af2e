/**
 * The table of differences that are right: the classic builder of docker 20.10 does one thing, BuildKit (what
 * `docker build` is today) does another, and Wharf follows BuildKit. A line that no case needs any more fails the
 * suite.
 */
import type { Difference } from './compare.js';

export interface Explanation {
  readonly id: string;
  /** What each builder does, and why ours is right. */
  readonly reason: string;
  /** Names of cases, or `any`. Of named cases each must need it. */
  readonly cases: readonly string[] | 'any';
  readonly subject: RegExp;
  readonly field: string;
  /** What docker's and our value must be; anything when absent. */
  readonly docker?: RegExp;
  readonly wharf?: RegExp;
}

export const EXPLAINED: readonly Explanation[] = [];

export interface Explained {
  readonly open: readonly Difference[];
  /** Ids of the explanations that were needed. */
  readonly used: ReadonlySet<string>;
}

export function explain(name: string, differences: readonly Difference[], table = EXPLAINED): Explained {
  const used = new Set<string>();
  const open = differences.filter((difference) => {
    const found = table.find((line) => applies(line, name, difference));
    if (found !== undefined) used.add(found.id);
    return found === undefined;
  });
  return { open, used };
}

/** Lines that the cases that ran did not need. @param whole whether every case ran */
export function notNeeded(
  ran: ReadonlyMap<string, ReadonlySet<string>>,
  whole: boolean,
  table = EXPLAINED,
): readonly string[] {
  return table.flatMap(({ id, cases }) => {
    if (cases === 'any') {
      const isNeeded = [...ran.values()].some((used) => used.has(id));
      return isNeeded || !whole ? [] : [`${id}: no case needs it any more`];
    }
    return cases.flatMap((name) => {
      const used = ran.get(name);
      if (used === undefined) return whole ? [`${id}: there is no case ${name}`] : [];
      return used.has(id) ? [] : [`${id}: ${name} does not need it any more`];
    });
  });
}

function applies(line: Explanation, name: string, difference: Difference): boolean {
  return (
    (line.cases === 'any' || line.cases.includes(name)) &&
    line.subject.test(difference.subject) &&
    line.field === difference.field &&
    (line.docker?.test(difference.docker) ?? true) &&
    (line.wharf?.test(difference.wharf) ?? true)
  );
}
