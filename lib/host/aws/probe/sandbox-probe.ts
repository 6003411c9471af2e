/**
 * Finds out what the machine lets this process do, by trying each thing in a process of its own that ends with it: what
 * was mounted or entered is gone then. Nothing is taken from what others wrote about the machine.
 * Why it is done this way: docs/decisions/0119.
 */
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { availableParallelism, constants, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { SANDBOX_TRIALS, type SandboxReport, type SandboxTrial } from '../../../build/index.js';
import type { Clock } from '../../../store/index.js';
import { VERSION } from '../../version.js';
import { callProgram, isProbedProcessor, type SystemCall } from './system-calls.js';

export interface ProbeOptions {
  /** Whose report it is. */
  readonly name: string;
  /** As the function was given it. @default - that of the machine */
  readonly memoryMiB?: number;
}

const MIB = 1024 ** 2;
const TRIAL_MS = 5_000;
const CLONE_NEWNS = 0x2_0000;
const CLONE_NEWUSER = 0x1000_0000;
const MS_REC_PRIVATE = 0x4_4000;

export async function probeSandbox(
  { clock }: { readonly clock: Clock },
  options: ProbeOptions,
): Promise<SandboxReport> {
  const scratch = await statfs(tmpdir());
  return {
    name: options.name,
    atMs: clock.nowMs(),
    version: VERSION,
    node: process.version,
    architecture: process.arch,
    kernel: release(),
    processors: availableParallelism(),
    memoryMiB: options.memoryMiB ?? Math.floor(totalmem() / MIB),
    scratchMiB: Math.floor((scratch.blocks * scratch.bsize) / MIB),
    scratchFreeMiB: Math.floor((scratch.bavail * scratch.bsize) / MIB),
    user: process.getuid?.() ?? -1,
    trials: await tryAll(),
  };
}

async function tryAll(): Promise<SandboxReport['trials']> {
  const work = await mkdtemp(join(tmpdir(), 'wharf-probe-'));
  try {
    for (const each of ['root', 'lower', 'upper', 'work']) await mkdir(join(work, each));
    const results: [SandboxTrial, string][] = [];
    for (const trial of SANDBOX_TRIALS) results.push([trial, await attempt(work, trial)]);
    return Object.fromEntries(results) as Record<SandboxTrial, string>;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function callsOf(trial: SandboxTrial, work: string): readonly SystemCall[] {
  const root = join(work, 'root');
  const layers = ['lower', 'upper', 'work'].map((each) => `${each}dir=${join(work, each)}`).join(',');
  // In a namespace of its own, out of which nothing gets to the machine.
  const enter = (flags: number): SystemCall[] => [
    { name: 'unshare', arguments: [flags] },
    { name: 'mount', arguments: ['none', '/', 'none', MS_REC_PRIVATE, 0] },
  ];
  const mount: SystemCall = { name: 'mount', arguments: ['probe', root, 'tmpfs', 0, 'size=1m'] };
  const overlay: SystemCall = { name: 'mount', arguments: ['probe', root, 'overlay', 0, layers] };
  const calls: Readonly<Record<SandboxTrial, readonly SystemCall[]>> = {
    mount: [...enter(CLONE_NEWNS), mount],
    overlay: [...enter(CLONE_NEWNS), overlay],
    userNamespace: [{ name: 'unshare', arguments: [CLONE_NEWUSER] }],
    userMount: [...enter(CLONE_NEWUSER + CLONE_NEWNS), mount],
    userOverlay: [...enter(CLONE_NEWUSER + CLONE_NEWNS), overlay],
    chroot: [{ name: 'chroot', arguments: [root] }],
    // PTRACE_TRACEME
    ptrace: [{ name: 'ptrace', arguments: [0, 0, 0, 0] }],
  };
  return calls[trial];
}

async function attempt(work: string, trial: SandboxTrial): Promise<string> {
  if (!isProbedProcessor(process.arch)) return `untried on ${process.arch}`;
  const file = join(work, trial);
  await writeFile(file, callProgram(process.arch, callsOf(trial, work)));
  await chmod(file, 0o700);
  return new Promise((resolve) => {
    execFile(file, { timeout: TRIAL_MS }, (error) => {
      if (error === null) return resolve('yes');
      const { code, signal } = error;
      if (typeof code === 'number') return resolve(nameOf(code));
      resolve(signal ?? `not started: ${String(code)}`);
    });
  });
}

function nameOf(errno: number): string {
  return Object.entries(constants.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
}
