/**
 * A million inputs, by share of each target: no crash, no error that is not ours, and none that takes a second.
 *   npm run fuzz                      all
 *   npm run fuzz -- parser            one target
 *   npm run fuzz -- parser 7 123 1    seed 7, from input 123 on, one input
 * WHARF_FUZZ_INPUTS changes the million. Time is processor time of the process, so a busy machine finds nothing more.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CACHE_TARGETS } from './cache-targets.js';
import { LAYER_TARGETS } from './layer-targets.js';
import type { Target } from './target.js';
import { TEXT_TARGETS } from './text-targets.js';

const HANG_SECONDS = 1;
const POLL_MS = 100;
const TICKS_PER_SECOND = 100;

const [only, seed = '20261127', first = '0', count] = process.argv.slice(2);
const total = Number(process.env['WHARF_FUZZ_INPUTS'] ?? 1_000_000);
const targets = [...TEXT_TARGETS, ...LAYER_TARGETS, ...CACHE_TARGETS].filter(
  ({ name }) => only === undefined || name === only,
);
if (targets.length === 0) throw new Error(`no target ${only}`);
const folder = mkdtempSync(join(tmpdir(), 'wharf-fuzz-'));
let done = 0;
try {
  for (const target of targets) {
    const inputs = count === undefined ? Math.round(total * target.share) : Number(count);
    const problem = await watch(target, inputs);
    if (problem !== undefined) {
      console.error(problem);
      process.exitCode = 1;
    } else {
      done += inputs;
      console.log(`${target.name}: ${inputs} inputs`);
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${done} inputs without a crash or a hang (seed ${seed})`);

/** @returns what went wrong */
async function watch(target: Target, inputs: number): Promise<string | undefined> {
  const state = join(folder, target.name);
  const script = join(import.meta.dirname, 'fuzz-process.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', script, target.name, seed, first, String(inputs), state], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const end: { code?: number | null } = {};
  child.once('exit', (code) => (end.code = code));
  let at = { input: '', seconds: 0 };
  while (end.code === undefined) {
    await delay(POLL_MS);
    const input = inputOf(state);
    const seconds = processorSeconds(child.pid ?? 0);
    if (input === undefined || seconds === undefined) continue;
    if (input !== at.input) at = { input, seconds };
    else if (seconds - at.seconds > HANG_SECONDS) {
      child.kill('SIGKILL');
      return `${target.name}: input ${input} takes more than ${HANG_SECONDS} s; npm run fuzz -- ${target.name} ${seed} ${input} 1`;
    }
  }
  if (end.code === 0) return undefined;
  return `${target.name} failed; npm run fuzz -- ${target.name} ${seed} ${inputOf(state) ?? first} 1`;
}

function inputOf(path: string): string | undefined {
  try {
    const text = readFileSync(path, 'utf8').trim();
    return text === '' ? undefined : text;
  } catch {
    return undefined;
  }
}

/** utime and stime of /proc/<pid>/stat (proc(5)), after the name in parentheses. */
function processorSeconds(pid: number): number | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return undefined;
  }
}
