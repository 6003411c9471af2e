/** `wharf up`, `wharf engine`, `wharf down` and `wharf doctor`. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { defined } from '../../platform/values/index.js';
import { down } from '../commands/down.js';
import { doctor } from '../commands/doctor.js';
import { engine, type EngineInput } from '../commands/engine.js';
import { up } from '../commands/up.js';
import type { BuildingRules, CliDeps, RuntimeName } from '../deps.js';
import { readSourcePolicy } from '../source-policy-file.js';
import { collect, duration, filled, size } from './option-values.js';
import { connected, type Shared, talking } from './shared-options.js';
export function addUp(wharf: Command, deps: CliDeps): void {
  wharf
    .command('up')
    .description('run the platform on this machine, until Ctrl-C')
    .option('--data <dir>', 'where it keeps everything (default: .wharf)')
    .option('--listen <host:port>', 'where it listens (default: 127.0.0.1:7070)')
    .option('--token <token>', 'a token to accept; one is made at first start otherwise')
    .addOption(runtimeOption())
    .option('--oci-runtime <name>', OCI_RUNTIME)
    .option('--events-webhook <url>', 'gets every event of the engine, signed with WHARF_EVENTS_SECRET')
    .option('--json', 'one JSON line with url, registry, ecs and token when it is ready')
    .option('--allow <right>', 'builds may be given network.host or security.insecure; repeatable', collect, [])
    .option(
      '--fetch-from <range>',
      'builds may fetch from these addresses too, as 10.1.0.0/16; repeatable',
      collect,
      [],
    )
    .option('--source-policy-file <path>', "rules for the sources of all builds, in BuildKit's JSON")
    .option('--proxy-network', 'the only way out of every RUN is a proxy that records what is fetched')
    .option('--run-memory <bytes>', 'of each RUN of a build at most, as 2g', size)
    .option('--run-cpus <n>', 'processors of each RUN of a build at most, as 1.5', processors)
    .option('--run-timeout <duration>', 'how long a RUN of a build may take, as 30m', duration)
    .action(async (options: UpOptions) => up({ ...options, ...(await buildingRules(options, deps)) }, deps));
}

interface UpOptions extends Shared {
  readonly listen?: string;
  readonly runtime?: RuntimeName;
  readonly ociRuntime?: string;
  readonly eventsWebhook?: string;
  readonly allow: readonly string[];
  readonly fetchFrom: readonly string[];
  readonly sourcePolicyFile?: string;
  readonly proxyNetwork?: boolean;
  readonly runMemory?: number;
  readonly runCpus?: number;
  readonly runTimeout?: number;
}

async function buildingRules(options: UpOptions, { cwd }: CliDeps): Promise<{ readonly building?: BuildingRules }> {
  const { fetchFrom, sourcePolicyFile, proxyNetwork, runMemory, runCpus, runTimeout } = options;
  const building: BuildingRules = defined({
    allow: filled(options.allow.flatMap((each) => each.split(',')).map(entitlement)),
    fetchFrom: filled(fetchFrom),
    sourcePolicy: sourcePolicyFile === undefined ? undefined : await readSourcePolicy(sourcePolicyFile, cwd),
    proxyNetwork,
    memoryBytes: runMemory,
    cpus: runCpus,
    timeoutMs: runTimeout,
  });
  return Object.keys(building).length === 0 ? {} : { building };
}

function entitlement(text: string): 'network.host' | 'security.insecure' {
  if (text === 'network.host' || text === 'security.insecure') return text;
  throw new InvalidArgumentError(`--allow ${text}: network.host or security.insecure is wanted`);
}

function processors(text: string): number {
  if (/^\d{1,3}(\.\d{1,2})?$/.test(text) && Number(text) > 0) return Number(text);
  throw new InvalidArgumentError('a number of processors is wanted, as 1.5');
}

export function addDown(wharf: Command, deps: CliDeps): void {
  wharf
    .command('down')
    .description('end the containers that a stopped platform left running on this machine; its data stays')
    .option('--data <dir>', 'its data folder, also when that was deleted (default: .wharf)')
    .option('--json', 'one JSON document on stdout')
    .action((options: Pick<Shared, 'data' | 'json'>) => down(options, deps));
}

export function addDoctor(wharf: Command, deps: CliDeps): void {
  talking(wharf.command('doctor'))
    .description('whether the platform answers, and what its functions may do on their machines')
    .action(async (options: Shared) => doctor(defined({ json: options.json }), await connected(deps, options)));
}

export function addEngine(wharf: Command, deps: CliDeps): void {
  wharf
    .command('engine')
    .description('run the engine alone: the ECS API on a port, until Ctrl-C')
    .option('--data <dir>', 'where it keeps everything (default: .wharf)')
    .option('--listen <host:port>', 'where it listens (default: 127.0.0.1:7071)')
    .addOption(runtimeOption())
    .option('--oci-runtime <name>', OCI_RUNTIME)
    .option('--events-webhook <url>', 'gets every event of the engine, signed with WHARF_EVENTS_SECRET')
    .option('--region <name>', 'the region in ARNs (default: us-east-1)')
    .option('--account <id>', 'the account in ARNs, twelve digits (default: 000000000000)')
    .option('--keys <file>', 'a file in the form of ~/.aws/credentials; requests have to be signed with its keys')
    .option('--json', 'one JSON line with url, region and account when it is ready')
    .action((options: EngineInput) => engine(options, deps));
}

const OCI_RUNTIME = 'what makes containers of tasks: runc or crun (default: WHARF_OCI_RUNTIME, or runc)';

function runtimeOption(): Option {
  return new Option('--runtime <name>', 'what runs tasks; simulated runs nothing and needs no root').choices([
    'containers',
    'simulated',
  ]);
}
