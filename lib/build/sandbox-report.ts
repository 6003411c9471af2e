/**
 * What a process that builds without containers could do on its machine, as it found out by trying: kept as a record for
 * whoever asks why RUN goes elsewhere, and for the day when it need not.
 */
import type { RecordStore } from '../store/index.js';

/** What a sandbox for RUN is made of. */
export const SANDBOX_TRIALS = [
  'mount',
  'overlay',
  'userNamespace',
  'userMount',
  'userOverlay',
  'chroot',
  'ptrace',
] as const;
export type SandboxTrial = (typeof SANDBOX_TRIALS)[number];

export interface SandboxReport {
  /** Which process: `builder`. */
  readonly name: string;
  readonly atMs: number;
  /** Of Wharf. */
  readonly version: string;
  readonly node: string;
  /** As Node calls it: `arm64`, `x64`. */
  readonly architecture: string;
  readonly kernel: string;
  readonly processors: number;
  readonly memoryMiB: number;
  /** Of /tmp, and how much of it is free. */
  readonly scratchMiB: number;
  readonly scratchFreeMiB: number;
  readonly user: number;
  /** `yes`, or what the kernel said: an error's name, or the signal that ended the trial. */
  readonly trials: Readonly<Record<SandboxTrial, string>>;
}

const PARTITION = 'SANDBOXES';
const MOST = 100;

export class SandboxReports {
  constructor(private readonly deps: { readonly records: RecordStore }) {}

  /** In the place of the last one of that name. */
  async put(report: SandboxReport): Promise<void> {
    await this.deps.records.put({ partition: PARTITION, sort: report.name }, report);
  }

  async list(): Promise<readonly SandboxReport[]> {
    const { records } = await this.deps.records.query<SandboxReport>(PARTITION, { limit: MOST });
    return records.map(({ value }) => value);
  }
}

/** Whether a RUN could be done there: a root of layers, and a way into it. */
export function canRun({ trials }: SandboxReport): boolean {
  const has = (trial: SandboxTrial): boolean => trials[trial] === 'yes';
  return has('overlay') || (has('userNamespace') && has('userOverlay'));
}
