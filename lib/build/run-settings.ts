/**
 * What every RUN of a build gets beside what its line says: limits, names of machines, a network. The command line of
 * docker has the same; a host's own limits stay above them.
 */
import { isIP } from 'node:net';
import { AppError } from '../errors/index.js';

/** Rights beyond the sandbox: a RUN has them where the request and the host allow them. */
export const ENTITLEMENTS = ['network.host', 'security.insecure'] as const;
export type Entitlement = (typeof ENTITLEMENTS)[number];

export interface RunSettings {
  /** Of a RUN that names none, or `default`. */
  readonly network?: 'default' | 'none' | 'host';
  /** The only way out is a proxy that records what is fetched over HTTP and HTTPS. */
  readonly proxyNetwork?: boolean;
  /** Further lines of /etc/hosts: addresses by name. */
  readonly hosts?: Readonly<Record<string, string>>;
  /** Of /dev/shm. */
  readonly shmBytes?: number;
  readonly ulimits?: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly limits?: RunLimits;
}

/** Of one command at a time: steps that run side by side have them each. */
export interface RunLimits {
  readonly memoryBytes?: number;
  /** Memory and swap together; -1 is as much swap as there is. Without it there is no swap. */
  readonly memorySwapBytes?: number;
  /** Relative to others, 1,024 is usual. */
  readonly cpuShares?: number;
  readonly cpuPeriodUs?: number;
  readonly cpuQuotaUs?: number;
  /** Processors by number: `0-2,4`. */
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
}

const ULIMITS = 'core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack';
/** Docker's own least: a shell needs so much to start. */
const MIN_MEMORY = 6 * 1024 * 1024;
const HOST = /^[a-z0-9_]([a-z0-9_.-]{0,252}[a-z0-9_])?$/i;

/** @throws AppError BUILD_RUN_SETTING_INVALID */
export function checkRunSettings({ hosts = {}, shmBytes, ulimits = [], limits = {} }: RunSettings): void {
  for (const [name, address] of Object.entries(hosts)) {
    if (!HOST.test(name) || isIP(address) === 0) throw invalid(`host ${name}:${address}`, 'a name and an IP address');
  }
  if (shmBytes !== undefined && !(Number.isSafeInteger(shmBytes) && shmBytes > 0)) {
    throw invalid(`shm size ${shmBytes}`, 'bytes, more than 0');
  }
  for (const { name, soft, hard } of ulimits) {
    if (!ULIMITS.split(' ').includes(name)) throw invalid(`ulimit ${name}`, `one of ${ULIMITS}`);
    const isWhole = [soft, hard].every((value) => Number.isSafeInteger(value) && value >= -1);
    if (!isWhole || (hard !== -1 && (soft === -1 || soft > hard))) {
      throw invalid(
        `ulimit ${name}=${soft}:${hard}`,
        'whole numbers, the soft one at most the hard one; -1 is no limit',
      );
    }
  }
  checkLimits(limits);
}

function checkLimits(limits: RunLimits): void {
  const { memoryBytes, memorySwapBytes, cpuShares, cpuPeriodUs, cpuQuotaUs, cpusetCpus, cpusetMems } = limits;
  const between = (what: string, value: number | undefined, least: number, most = Number.MAX_SAFE_INTEGER): void => {
    if (value === undefined || (Number.isSafeInteger(value) && value >= least && value <= most)) return;
    throw invalid(
      `${what} ${value}`,
      most === Number.MAX_SAFE_INTEGER ? `at least ${least}` : `from ${least} to ${most}`,
    );
  };
  between('memory', memoryBytes, MIN_MEMORY);
  if (memorySwapBytes !== undefined && memorySwapBytes !== -1) {
    if (memoryBytes === undefined) throw invalid('memory-swap without memory', 'both, or -1');
    between('memory-swap', memorySwapBytes, memoryBytes);
  }
  between('cpu-shares', cpuShares, 2, 262_144);
  between('cpu-period', cpuPeriodUs, 1000, 1_000_000);
  between('cpu-quota', cpuQuotaUs, 1000);
  for (const set of [cpusetCpus, cpusetMems]) {
    if (set !== undefined && !/^\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*$/.test(set)) {
      throw invalid(`cpuset ${JSON.stringify(set)}`, 'numbers and ranges: 0-2,4');
    }
  }
}

function invalid(what: string, accepted: string): AppError {
  return new AppError('BUILD_RUN_SETTING_INVALID', `RUN cannot be given ${what}`, { hint: accepted });
}

/** A tenth of a second, where nobody says another. */
const PERIOD_US = 100_000;

/** What is asked for, within what the host gives every RUN. */
export function withinHost(asked: RunLimits, host: RunLimits): RunLimits {
  const { memoryBytes: most } = host;
  const { memoryBytes = most, memorySwapBytes, cpuShares, cpusetCpus, cpusetMems } = asked;
  // The host's limit is one without swap.
  const swaps = most === undefined || (memorySwapBytes !== -1 && (memorySwapBytes ?? 0) <= most);
  const share = (limits: RunLimits): number => (limits.cpuQuotaUs ?? Infinity) / (limits.cpuPeriodUs ?? PERIOD_US);
  const cpu = share(asked) > share(host) ? host : asked;
  return {
    ...(cpuShares === undefined ? {} : { cpuShares }),
    ...(cpusetCpus === undefined ? {} : { cpusetCpus }),
    ...(cpusetMems === undefined ? {} : { cpusetMems }),
    ...(memoryBytes === undefined ? {} : { memoryBytes: Math.min(memoryBytes, most ?? memoryBytes) }),
    ...(memorySwapBytes === undefined || !swaps ? {} : { memorySwapBytes }),
    ...(cpu.cpuQuotaUs === undefined ? {} : { cpuQuotaUs: cpu.cpuQuotaUs }),
    ...(cpu.cpuPeriodUs === undefined ? {} : { cpuPeriodUs: cpu.cpuPeriodUs }),
  };
}
