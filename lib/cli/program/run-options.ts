/** Options of `wharf build` for its RUN steps, as docker's command line has them. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Entitlement, RunSettings } from '../../build/index.js';
import { defined } from '../../platform/values/index.js';
import { collect, filled, size, whole } from './option-values.js';

export interface RunOptions {
  readonly allow: readonly string[];
  readonly network?: 'default' | 'none' | 'host';
  readonly proxyNetwork?: boolean;
  readonly addHost: readonly string[];
  readonly shmSize?: number;
  readonly ulimit: readonly string[];
  readonly memory?: number;
  readonly memorySwap?: number;
  readonly cpuShares?: number;
  readonly cpuPeriod?: number;
  readonly cpuQuota?: number;
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
}

export function addRunOptions(command: Command): Command {
  return command
    .option(
      '--allow <right>',
      'lets RUN use network.host or security.insecure, where the host does; repeatable',
      collect,
      [],
    )
    .addOption(new Option('--network <mode>', 'of RUN that names none').choices(['default', 'none', 'host']))
    .option('--proxy-network', 'the only way out of RUN is a proxy that records what is fetched, for provenance')
    .option('--add-host <name:address>', 'for /etc/hosts of RUN; repeatable', collect, [])
    .option('--shm-size <bytes>', '/dev/shm of RUN, as 128m', size)
    .option('--ulimit <name=soft[:hard]>', 'of RUN; repeatable', collect, [])
    .option('-m, --memory <bytes>', 'of each RUN, as 512m', size)
    .option('--memory-swap <bytes>', 'memory and swap together; -1 for no limit of swap', (text) =>
      text === '-1' ? -1 : size(text),
    )
    .option('-c, --cpu-shares <n>', 'of each RUN, relative to others', whole)
    .option('--cpu-period <microseconds>', 'period of --cpu-quota', whole)
    .option('--cpu-quota <microseconds>', 'processor time in a period, of each RUN', whole)
    .option('--cpuset-cpus <list>', 'processors for RUN, as 0-2,4')
    .option('--cpuset-mems <list>', 'nodes of memory for RUN');
}

export function allowed({ allow }: RunOptions): readonly Entitlement[] | undefined {
  // The platform says which there are.
  return filled(allow.flatMap((each) => each.split(','))) as readonly Entitlement[] | undefined;
}

export function runSettings(options: RunOptions): RunSettings | undefined {
  const { network, proxyNetwork, shmSize, memory, memorySwap, cpuShares, cpuPeriod, cpuQuota, cpusetCpus, cpusetMems } =
    options;
  const hosts = Object.fromEntries(options.addHost.map(hostOf));
  const limits = defined({
    memoryBytes: memory,
    memorySwapBytes: memorySwap,
    cpuShares,
    cpuPeriodUs: cpuPeriod,
    cpuQuotaUs: cpuQuota,
    cpusetCpus,
    cpusetMems,
  });
  const settings: RunSettings = defined({
    network,
    proxyNetwork,
    hosts: Object.keys(hosts).length === 0 ? undefined : hosts,
    shmBytes: shmSize,
    ulimits: filled(options.ulimit)?.map(ulimitOf),
    limits: Object.keys(limits).length === 0 ? undefined : limits,
  });
  return Object.keys(settings).length === 0 ? undefined : settings;
}

/** `name:address` or `name=address`; the address may be in brackets. */
function hostOf(text: string): [string, string] {
  const [, name = '', address = ''] = /^([^:=]+)[:=]\[?([^\]]+)\]?$/.exec(text) ?? [];
  if (name === '')
    throw new InvalidArgumentError(`--add-host ${JSON.stringify(text)} is not name:address, as db:10.0.0.5`);
  return [name, address];
}

function ulimitOf(text: string): { name: string; soft: number; hard: number } {
  const [, name = '', soft = '', hard = soft] = /^([a-z]+)=(-?\d{1,15})(?::(-?\d{1,15}))?$/.exec(text) ?? [];
  if (name === '')
    throw new InvalidArgumentError(`--ulimit ${JSON.stringify(text)} is not name=soft[:hard], as nofile=1024:2048`);
  return { name, soft: Number(soft), hard: Number(hard) };
}
