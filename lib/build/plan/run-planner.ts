/** RUN as a step: the command with its shell, heredocs put back, and flags turned into mounts and a network. */
import { type CommandForm, type RunInstruction, runScript } from '../../dockerfile/index.js';
import { unsupported } from '../build-errors.js';
import type { RunMount, RunNetwork, RunOp, RunSecurity } from './steps.js';

export interface RunPlanning {
  readonly shell: readonly string[];
  readonly env: ReadonlyMap<string, string>;
  readonly hiddenEnv: readonly string[];
  readonly user: string;
  readonly workdir: string;
  readonly hostname?: string;
  /** Plans a `--mount`. @param sshMounts how many ssh mounts came before it */
  readonly mount: (value: string, sshMounts: number) => Promise<RunMount>;
}

/** @throws AppError BUILD_UNSUPPORTED_… */
export async function planRun(instruction: RunInstruction, planning: RunPlanning): Promise<RunOp> {
  const { args, script } = runCommand(instruction, planning.shell);
  const mounts: RunMount[] = [];
  let network: RunNetwork = 'default';
  let security: RunSecurity = 'sandbox';
  for (const flag of instruction.flags) {
    const value = flag.value ?? '';
    if (flag.name === 'mount') {
      mounts.push(await planning.mount(value, mounts.filter(({ type }) => type === 'ssh').length));
    } else if (flag.name === 'network') network = runNetwork(value);
    else if (flag.name === 'security') security = runSecurity(value);
    else {
      const what = flag.name.toUpperCase();
      const written = flag.value === undefined ? `--${flag.name}` : `--${flag.name}=${value}`;
      const accepted = '--mount, --network=default|none|host or --security=sandbox|insecure';
      throw unsupported(`RUN_${what}`, `RUN ${written} is not offered`, accepted, `--${flag.name}`);
    }
  }
  return {
    kind: 'run',
    args,
    env: [...planning.env].map(([name, value]) => `${name}=${value}`),
    hiddenEnv: planning.hiddenEnv.filter((entry) => !planning.env.has(entry.slice(0, entry.indexOf('=')))),
    user: planning.user,
    cwd: planning.workdir,
    network,
    security,
    ...(planning.hostname === undefined ? {} : { hostname: planning.hostname }),
    mounts,
    ...(script === undefined ? {} : { script }),
  };
}

function runNetwork(value: string): RunNetwork {
  if (value === 'default' || value === 'none' || value === 'host') return value;
  throw unsupported('RUN_NETWORK', `RUN --network=${value} is not offered`, 'default, none or host', '--network');
}

function runSecurity(value: string): RunSecurity {
  if (value === 'sandbox' || value === 'insecure') return value;
  throw unsupported('RUN_SECURITY', `RUN --security=${value} is not offered`, 'sandbox or insecure', '--security');
}

function runCommand(instruction: RunInstruction, shell: readonly string[]): Pick<RunOp, 'args' | 'script'> {
  const run = runScript(instruction);
  if (run.form !== 'script') return { args: commandArgs(run, shell) };
  const name = run.path.slice(run.path.lastIndexOf('/') + 1);
  return { args: [...shell, run.path], script: { name, content: run.content } };
}

/** Exec form as it is, shell form behind the shell. */
export function commandArgs(command: CommandForm, shell: readonly string[]): string[] {
  return command.form === 'exec' ? [...command.args] : [...shell, command.command];
}
