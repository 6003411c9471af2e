/** Kills an operation at its k-th write, for one k after the other, until there is no such write. */
import type { Moment } from '../../fakes/account/doom.js';
import type { KillLab } from './lab.js';
import type { Operation } from './operation.js';

export interface Death {
  readonly at: number;
  /** What it did last. */
  readonly write: string;
}

export interface Deaths {
  readonly deaths: readonly Death[];
  /** Each with the death it came from. */
  readonly wrong: readonly string[];
}

let worlds = 0;

/**
 * @param wanted at which writes; at all when absent
 * @param tell each death and each wrong as it comes: a whole operation takes minutes
 */
export async function killAtEveryWrite(
  lab: KillLab,
  operation: Operation,
  moment: Moment,
  { wanted, tell }: { readonly wanted?: readonly number[]; readonly tell: (line: string) => void },
): Promise<Deaths> {
  const deaths: Death[] = [];
  const wrong: string[] = [];
  const last = wanted === undefined ? Infinity : Math.max(...wanted);
  for (let at = 1; at <= last; at += 1) {
    if (wanted?.includes(at) === false) continue;
    const { death, write, problem } = await die(lab, operation, at, moment);
    const what = death ? `${moment} write ${at} (${write})` : 'alive';
    tell(`${operation.name}: ${what}${problem === undefined ? '' : `: ${problem}`}`);
    if (problem !== undefined) wrong.push(`${what}: ${problem}`);
    // It has no such write: it went through.
    if (!death) break;
    deaths.push({ at, write });
  }
  return { deaths, wrong };
}

async function die(
  lab: KillLab,
  operation: Operation,
  at: number,
  moment: Moment,
): Promise<{ readonly death: boolean; readonly write: string; readonly problem?: string }> {
  worlds += 1;
  const subject = await operation.prepare(lab, `w${worlds}`);
  const { doom } = lab;
  doom.arm(lab.now.fn(operation.dies), at, moment);
  const acknowledged = await subject.act().catch(() => false);
  doom.disarm();
  const { hasStruck: death } = doom;
  const write = doom.seen.at(-1) ?? '';
  try {
    await subject.check(acknowledged);
  } catch (error) {
    return { death, write, problem: error instanceof Error ? error.message : String(error) };
  }
  return { death, write };
}
