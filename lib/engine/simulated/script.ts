/**
 * What a simulated container does. It is told by the variable WHARF_SIMULATE of the container, `name=value` pairs with
 * spaces between them, and what that leaves open by the command, as far as it is one of sh, true, false, sleep, exit.
 *
 * | pair | meaning | without it |
 * | --- | --- | --- |
 * | `pull=2s` | how long the image takes | 0 |
 * | `start=200ms` | from then to RUNNING | 0 |
 * | `run=30s` | how long it runs; `run=0` ends at once | until it is stopped |
 * | `exit=3` | its exit code when it ends by itself | 0 |
 * | `stop=5s` | how long it takes to obey SIGTERM; beyond its stop time-out it is killed, 137 | 0 |
 * | `health=UNHEALTHY` | what its health check finds | HEALTHY |
 * | `healthy-after=10s` | when the check first finds anything, after RUNNING | 0 |
 * | `fail=CannotPullContainerError` | it never runs, for this reason | |
 */
import { clientError } from '../ecs-error.js';

export interface Script {
  readonly pullMs: number;
  readonly startMs: number;
  /** Until it is stopped when absent. */
  readonly runMs?: number;
  readonly exitCode: number;
  readonly stopMs: number;
  readonly health: 'HEALTHY' | 'UNHEALTHY';
  readonly healthAfterMs: number;
  readonly fail?: string;
}

export const VARIABLE = 'WHARF_SIMULATE';
const NAMES = ['pull', 'start', 'run', 'exit', 'stop', 'health', 'healthy-after', 'fail'];

/** @throws ClientException that names the pair that is wrong */
export function readScript(environment: readonly string[], command: readonly string[] = []): Script {
  const text = environment.findLast((pair) => pair.startsWith(`${VARIABLE}=`))?.slice(VARIABLE.length + 1) ?? '';
  const pairs = new Map<string, string>();
  for (const pair of text.split(/\s+/).filter((each) => each !== '')) {
    const [, name = '', value = ''] = /^([a-z-]+)=(.+)$/.exec(pair) ?? [];
    if (!NAMES.includes(name)) throw wrong(pair, `one of ${NAMES.join(', ')} with a value is wanted`);
    pairs.set(name, value);
  }
  const asked = fromCommand(command);
  const fail = pairs.get('fail');
  const health = pairs.get('health') ?? 'HEALTHY';
  if (health !== 'HEALTHY' && health !== 'UNHEALTHY') throw wrong(`health=${health}`, 'HEALTHY or UNHEALTHY is wanted');
  const runMs = duration(pairs, 'run') ?? (pairs.has('exit') ? 0 : undefined) ?? asked.runMs;
  return {
    pullMs: duration(pairs, 'pull') ?? 0,
    startMs: duration(pairs, 'start') ?? 0,
    ...(runMs === undefined ? {} : { runMs }),
    exitCode: exitCode(pairs.get('exit')) ?? asked.exitCode,
    stopMs: duration(pairs, 'stop') ?? 0,
    health,
    healthAfterMs: duration(pairs, 'healthy-after') ?? 0,
    ...(fail === undefined ? {} : { fail }),
  };
}

function duration(pairs: ReadonlyMap<string, string>, name: string): number | undefined {
  const text = pairs.get(name);
  if (text === undefined) return undefined;
  const [, digits, unit = 's'] = /^(\d{1,7}(?:\.\d{1,3})?)(ms|s|m)?$/.exec(text) ?? [];
  if (digits === undefined) throw wrong(`${name}=${text}`, 'a time such as 200ms, 30s or 2m is wanted');
  return Number(digits) * ({ ms: 1, s: 1000, m: 60_000 }[unit] ?? 0);
}

function exitCode(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,3}$/.test(text) && Number(text) <= 255) return Number(text);
  throw wrong(`exit=${text}`, 'a number from 0 to 255 is wanted');
}

/** `sh -c "sleep 5; exit 3"`, `sleep 60`, `true`, `false`. Anything else runs until it is stopped. */
function fromCommand(command: readonly string[]): { readonly runMs?: number; readonly exitCode: number } {
  const [program = '', flag, text] = command;
  const isShell = /^(\/bin\/)?(ba|da|a)?sh$/.test(program) && flag === '-c';
  const steps = (isShell ? (text ?? '') : command.join(' ')).split(/;|&&/).map((step) => step.trim());
  let runMs = 0;
  for (const step of steps) {
    const [name = '', argument = ''] = step.replace(/^(exec )?(\/usr)?(\/bin\/)?/, '').split(/\s+/);
    if (name === 'true') return { runMs, exitCode: 0 };
    if (name === 'false') return { runMs, exitCode: 1 };
    if (name === 'exit') return { runMs, exitCode: Number(argument === '' ? 0 : argument) & 255 };
    if (name !== 'sleep' || !/^\d+(\.\d+)?$/.test(argument)) return { exitCode: 0 };
    runMs += Number(argument) * 1000;
  }
  return { runMs, exitCode: 0 };
}

const wrong = (pair: string, wanted: string): Error => clientError(`${VARIABLE}: "${pair}": ${wanted}.`);
