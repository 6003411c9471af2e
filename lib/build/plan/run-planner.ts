/** RUN as a step: the command with its shell, heredocs put back, and flags turned into mounts and a network. */
import { type CommandForm, type RunInstruction, runScript } from '../../dockerfile/index.js';
import { refusal, unsupported } from '../build-errors.js';
import type { Entitlement, RunSettings } from '../run-settings.js';
import type { RunMount, RunNetwork, RunOp, RunSecurity } from './steps.js';

export interface RunPlanning {
  readonly shell: readonly string[];
  readonly env: ReadonlyMap<string, string>;
  readonly hiddenEnv: readonly string[];
  readonly user: string;
  readonly workdir: string;
  readonly hostname?: string;
  readonly settings: RunSettings;
  readonly allowed: ReadonlySet<Entitlement>;
  /** Plans a `--mount`. @param sshMounts how many ssh mounts came before it */
  readonly mount: (value: string, sshMounts: number) => Promise<RunMount>;
}

/** @throws AppError BUILD_UNSUPPORTED_…, BUILD_NOT_ENTITLED */
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
  const { network: preset = 'default', ...settings } = planning.settings;
  if (network === 'default') network = preset;
  checkRights(network, security, planning.allowed);
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
    ...(Object.keys(settings).length === 0 ? {} : { settings }),
    ...(script === undefined ? {} : { script }),
  };
}

/** A Dockerfile may be a stranger's: whoever builds it says that it may have more than the sandbox gives. */
function checkRights(network: RunNetwork, security: RunSecurity, allowed: ReadonlySet<Entitlement>): void {
  const refuse = (right: Entitlement, flag: string, value: string): Error =>
    refusal('BUILD_NOT_ENTITLED', `RUN ${flag}=${value} needs the right ${right}, which this build was not given`, {
      kind: 'forbidden',
      hint: `wharf build --allow ${right}; the host has to allow it too (wharf up --allow ${right})`,
      word: flag,
    });
  if (network === 'host' && !allowed.has('network.host')) throw refuse('network.host', '--network', network);
  if (security === 'insecure' && !allowed.has('security.insecure')) {
    throw refuse('security.insecure', '--security', security);
  }
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
