/**
 * What each Lambda function needs: processor time, memory and calls of services for each kind of event, under the local
 * Lambda runtime, and what that makes of time and money at each size of memory. Lambda gives processor time by memory,
 * 1,769 MiB for one whole processor. Only an account can say how long its services take: here it is assumed.
 */
import { PRICES } from '../lib/constructs/cost.js';
import { openFunctionLoad, type Step } from './function-load.js';
import { median, short, table } from './figures.js';
import type { Session } from './session.js';

/** Of processor time, for which Lambda takes so much memory. */
const ONE_PROCESSOR_MIB = 1769;
/** Of a call of S3, DynamoDB, SQS or ECS, one after the other. */
const CALL_MS = 5;
const SIZES_MIB = [256, 512, 1024, 1769];

export interface FunctionsSettings {
  readonly rounds: number;
  readonly only?: string;
}

interface Measured {
  readonly fn: string;
  readonly step: string;
  /** Of events, in a process that had some before. */
  readonly processorMs: readonly number[];
  readonly calls: number;
  readonly peakMiB: number;
  /** Of the function's first step: what a start takes, and its first event more than a later one. */
  readonly coldMs: readonly number[];
}

export async function benchFunctions(session: Session, { rounds, only = '' }: FunctionsSettings): Promise<void> {
  const load = await openFunctionLoad();
  session.defer(() => load.close());
  const measured: Measured[] = [];
  for (const step of load.steps.filter(({ fn }) => fn.includes(only))) {
    const isFirst = !measured.some(({ fn }) => fn === step.fn);
    const one = await measure(step, load, { rounds, starts: isFirst ? rounds : 0 });
    measured.push(one);
    session.record('functions', one);
  }
  const heads = ['function', 'event', 'ms p50', 'ms most', 'cold ms p50', 'calls', 'peak MiB'];
  console.log(table([heads, ...measured.map(row)]));
  for (const fn of new Set(measured.map((each) => each.fn))) {
    console.log(`\n${fn}: ms with waiting, and US$ for a million, by MiB\n`);
    const own = measured.filter((each) => each.fn === fn);
    console.log(table([['event', ...SIZES_MIB.map(String)], ...own.map((each) => [each.step, ...bySize(each)])]));
  }
}

async function measure(
  step: Step,
  load: { calls(): number },
  { rounds, starts }: { readonly rounds: number; readonly starts: number },
): Promise<Measured> {
  const { target } = step;
  const processorMs: number[] = [];
  const calls: number[] = [];
  const coldMs: number[] = [];
  for (let round = 0; round < starts + rounds; round += 1) {
    const act = await step.prepare(`${step.id}-${round}`);
    const isCold = round < starts;
    if (isCold) await target.kill();
    const [from, before] = [target.uses.length, load.calls()];
    await act();
    const uses = target.uses.slice(from);
    if (isCold) coldMs.push((uses[0]?.startMs ?? 0) + (uses[0]?.processorMs ?? 0));
    else {
      processorMs.push(...uses.map((use) => use.processorMs));
      calls.push((load.calls() - before) / Math.max(1, uses.length));
    }
  }
  const peakMiB = Math.max(0, ...target.uses.map((use) => use.peakMiB));
  return { fn: step.fn, step: step.what, processorMs, calls: median(calls), peakMiB, coldMs };
}

function row({ fn, step, processorMs, coldMs, calls, peakMiB }: Measured): readonly string[] {
  const cold = coldMs.length === 0 ? '' : short(median(coldMs));
  return [fn, step, short(median(processorMs)), short(Math.max(...processorMs)), cold, short(calls), String(peakMiB)];
}

function bySize({ processorMs, calls }: Measured): readonly string[] {
  return SIZES_MIB.map((memoryMiB) => {
    const ms = (median(processorMs) * ONE_PROCESSOR_MIB) / memoryMiB + calls * CALL_MS;
    const dollars = (ms / 1000) * (memoryMiB / 1024) * PRICES.lambdaArmGiBSecond * 1e6 + PRICES.lambdaMillion;
    return `${short(ms)} ${short(dollars)}`;
  });
}
