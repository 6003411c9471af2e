/**
 * The config.json of a container (OCI runtime-spec, config.md and config-linux.md), as docker would write it: default
 * capabilities, seccomp, masked paths, mounts and devices. Pure: the same spec gives the same document.
 */
import { AppError } from '../../errors/index.js';
import { capabilitySet } from './capabilities.js';
import { HOST_PATH } from '../host/host-command.js';
import { cgroupPath } from '../host/host-scope.js';
import { containerMounts, INIT_PATH, type OciMount } from './runtime-mounts.js';
import { seccompFilter, type SeccompFilter } from './seccomp.js';
import { namespacedSysctls } from './sysctls.js';
import type { ContainerLimits, ContainerSpec, HostScope } from '../types.js';
import type { ResolvedUser } from './user.js';

export interface OciProcess {
  readonly terminal: boolean;
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] };
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly capabilities: Readonly<Record<'bounding' | 'effective' | 'permitted', readonly string[]>>;
  readonly rlimits: readonly { readonly type: string; readonly soft: number; readonly hard: number }[];
  readonly noNewPrivileges: boolean;
  readonly oomScoreAdj: number;
}

export interface OciRuntimeConfig {
  readonly ociVersion: string;
  readonly process: OciProcess;
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly hostname: string;
  readonly mounts: readonly OciMount[];
  readonly linux: {
    readonly namespaces: readonly { readonly type: string; readonly path?: string }[];
    readonly cgroupsPath: string;
    readonly resources: Readonly<Record<string, unknown>>;
    readonly rootfsPropagation: 'rprivate';
    readonly sysctl?: Readonly<Record<string, string>>;
    readonly seccomp?: SeccompFilter;
    readonly maskedPaths: readonly string[];
    readonly readonlyPaths: readonly string[];
  };
}

/** What differs between hosts. */
export interface HostFacts {
  /** Node's name for the processor, as in process.arch. */
  readonly architecture: string;
  /** Whether the kernel can limit swap; without it a memory limit holds for memory alone. */
  readonly swapLimit: boolean;
  /** The hard limit of this process on open files: a host may not let us go above it. */
  readonly maxOpenFiles: number;
  /** Capabilities that this process does not have, and so cannot give; none when absent. */
  readonly missingCapabilities?: readonly string[];
  /** A statically linked init program; absent where the host has none. */
  readonly initProgram?: string;
}

const MASKED_PATHS = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
];
const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];
/** What the ECS-optimised images set; never inherited, since Node raises its own. */
const DEFAULT_OPEN_FILES = { soft: 32768, hard: 65536 };
const ULIMIT_NAMES =
  'core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack'.split(' ');

/** RLIM_INFINITY. As a JavaScript number it is one too many, which `configText` puts right. */
const UNLIMITED = 2 ** 64;

/** The document as text, with unlimited resource limits as the runtime reads them. */
export function configText(value: object): string {
  return JSON.stringify(value).replaceAll(':18446744073709552000', ':18446744073709551615');
}

/**
 * @throws AppError CAPABILITY_UNKNOWN, ULIMIT_UNKNOWN, CONTAINER_ID_INVALID, PROCESS_EMPTY, SYSCTL_NOT_NAMESPACED,
 * INIT_MISSING, MOUNT_INVALID
 */
export function runtimeConfig(
  spec: ContainerSpec,
  user: ResolvedUser,
  scope: HostScope,
  host: HostFacts,
): OciRuntimeConfig {
  const privileged = spec.privileged === true;
  const asked = capabilitySet({ ...spec.capabilities, privileged });
  // All means all there are: on a host that lacks one, a privileged container starts with the rest.
  const capabilities = privileged ? asked.filter((one) => host.missingCapabilities?.includes(one) !== true) : asked;
  return {
    ociVersion: '1.0.2',
    process: ociProcess(spec, user, capabilities, host),
    root: { path: spec.rootfs, readonly: spec.readonlyRootfs === true },
    hostname: spec.hostname,
    mounts: containerMounts(spec, scope, host.initProgram),
    linux: {
      namespaces: namespaces(spec),
      cgroupsPath: cgroupPath(scope, spec.id),
      resources: resources(spec.limits, privileged, host),
      rootfsPropagation: 'rprivate',
      ...sysctls(spec),
      ...(privileged ? {} : { seccomp: seccompFilter(capabilities, host.architecture) }),
      maskedPaths: privileged ? [] : MASKED_PATHS,
      readonlyPaths: privileged ? [] : READONLY_PATHS,
    },
  };
}

function ociProcess(
  spec: ContainerSpec,
  user: ResolvedUser,
  capabilities: readonly string[],
  host: HostFacts,
): OciProcess {
  const { args, env, cwd } = spec.process;
  if (args.length === 0) {
    throw new AppError('PROCESS_EMPTY', 'no command was given and the image has none', {
      hint: 'set an entry point or a command',
    });
  }
  // A user other than root starts without capabilities and can gain only those of the bounding set.
  const own = user.uid === 0 ? capabilities : [];
  return {
    terminal: spec.process.terminal === true,
    // The primary group stands among the others too, or a file could be closed to a group by its mode (CVE-2022-36109).
    user: { uid: user.uid, gid: user.gid, additionalGids: [...new Set([user.gid, ...user.additionalGids])] },
    args: spec.init === true ? [INIT_PATH, '--', ...args] : args,
    env: withDefaults(env, { PATH: HOST_PATH, HOME: user.home }),
    cwd: cwd === '' ? '/' : cwd,
    capabilities: { bounding: capabilities, effective: own, permitted: own },
    rlimits: rlimits(spec.ulimits ?? [], host.maxOpenFiles),
    noNewPrivileges: false,
    oomScoreAdj: 0,
  };
}

function withDefaults(env: readonly string[], defaults: Readonly<Record<string, string>>): readonly string[] {
  const missing = Object.entries(defaults).filter(([name]) => !env.some((entry) => entry.startsWith(`${name}=`)));
  return [...missing.map(([name, value]) => `${name}=${value}`), ...env];
}

function rlimits(ulimits: NonNullable<ContainerSpec['ulimits']>, maxOpenFiles: number): OciProcess['rlimits'] {
  const own = ulimits.map(({ name, soft, hard }) => {
    if (!ULIMIT_NAMES.includes(name)) {
      throw new AppError('ULIMIT_UNKNOWN', `${JSON.stringify(name)} is not a resource limit`, {
        hint: ULIMIT_NAMES.join(', '),
      });
    }
    const bound = (value: number): number => (value < 0 ? UNLIMITED : value);
    return { type: `RLIMIT_${name.toUpperCase()}`, soft: bound(soft), hard: bound(hard) };
  });
  if (own.some(({ type }) => type === 'RLIMIT_NOFILE')) return own;
  const { soft, hard } = DEFAULT_OPEN_FILES;
  return [...own, { type: 'RLIMIT_NOFILE', soft: Math.min(soft, maxOpenFiles), hard: Math.min(hard, maxOpenFiles) }];
}

function namespaces(spec: ContainerSpec): { type: string; path?: string }[] {
  const types = ['pid', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type }));
  if (spec.network.mode === 'host') return types;
  if (spec.network.mode === 'none') return [...types, { type: 'network' }];
  return [...types, { type: 'network', path: spec.network.path }];
}

function sysctls(spec: ContainerSpec): { sysctl?: Readonly<Record<string, string>> } {
  const ownNetwork = spec.network.mode !== 'host';
  const own = namespacedSysctls(spec.sysctls ?? {}, ownNetwork);
  const network = { 'net.ipv4.ip_unprivileged_port_start': '0', 'net.ipv4.ping_group_range': '0 2147483647' };
  const all = { ...(ownNetwork ? network : {}), ...own };
  return Object.keys(all).length === 0 ? {} : { sysctl: all };
}

function resources(limits: ContainerLimits, privileged: boolean, host: HostFacts): Record<string, unknown> {
  const { memoryBytes, memorySwapBytes = memoryBytes, memoryReservationBytes, pids } = limits;
  const cpu = cpuResources(limits);
  const memory = {
    ...(memoryBytes === undefined ? {} : { limit: memoryBytes }),
    // Memory and swap together: no swap beyond the limit.
    ...(memoryBytes === undefined || !host.swapLimit ? {} : { swap: memorySwapBytes }),
    ...(memoryReservationBytes === undefined ? {} : { reservation: memoryReservationBytes }),
  };
  return {
    // The runtime adds the devices every container has (null, zero, random, tty, pts).
    devices: [{ allow: privileged, access: 'rwm' }],
    ...(Object.keys(memory).length === 0 ? {} : { memory }),
    ...(Object.keys(cpu).length === 0 ? {} : { cpu }),
    ...(pids === undefined ? {} : { pids: { limit: pids } }),
  };
}

function cpuResources(limits: ContainerLimits): Record<string, number | string> {
  const { cpuUnits, cpuQuotaUs, cpuPeriodUs, cpusetCpus, cpusetMems } = limits;
  return {
    // The kernel's least is 2, which is also what ECS gives for 0 and 1.
    ...(cpuUnits === undefined ? {} : { shares: Math.max(2, cpuUnits) }),
    ...(cpuQuotaUs === undefined ? {} : { quota: cpuQuotaUs }),
    ...(cpuPeriodUs === undefined ? {} : { period: cpuPeriodUs }),
    ...(cpusetCpus === undefined ? {} : { cpus: cpusetCpus }),
    ...(cpusetMems === undefined ? {} : { mems: cpusetMems }),
  };
}
