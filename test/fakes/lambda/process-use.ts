/** What a function's process took of the machine so far, by /proc: on Lambda both are in the line REPORT, and on the bill. */
import { readFileSync } from 'node:fs';

export interface ProcessUse {
  /** In user and kernel mode, of all its threads. */
  readonly processorMs: number;
  /** The most that was resident at once. */
  readonly peakMiB: number;
}

/** Of the kernel's clock by which /proc counts, everywhere that Node runs. */
const TICK_MS = 10;

/** Undefined when there is no such process, or no /proc. */
export function useOf(pid: number | undefined): ProcessUse | undefined {
  try {
    // After the name, which may have anything in it; the fields are those of proc(5) from the third on.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    const [, peakKiB = '0'] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    const ticks = Number(fields[11]) + Number(fields[12]);
    return { processorMs: ticks * TICK_MS, peakMiB: Math.ceil(Number(peakKiB) / 1024) };
  } catch {
    return undefined;
  }
}
