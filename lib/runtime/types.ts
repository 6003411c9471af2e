/**
 * What a Linux host gives a container: a root from layers (overlayfs), a process in namespaces and a cgroup (runc),
 * a supervisor that outlives us (conmon), a network (a bridge, and links to it). Build steps and tasks both stand on these.
 */

/** Identity of one platform on this host; names of bridges, namespaces and cgroups are made from it, so that two
 *  platforms never touch each other's and clean-up can find every piece of its own. */
export interface HostScope {
  /** Six lower-case hex digits, kept in the data folder. */
  readonly id: string;
  /** Absolute path of the data folder's runtime part. */
  readonly directory: string;
}

export interface RuntimeMount {
  readonly destination: string;
  readonly type: 'bind' | 'tmpfs';
  /** Absolute host path, for bind. */
  readonly source?: string;
  readonly readonly?: boolean;
  /** Bytes, for tmpfs. */
  readonly sizeBytes?: number;
  readonly mode?: number;
  /** More options of mount(8), for tmpfs; those of `tmpfsOptions` only. */
  readonly options?: readonly string[];
}

export interface ContainerProcess {
  readonly args: readonly string[];
  /** `NAME=value`. */
  readonly env: readonly string[];
  readonly cwd: string;
  /** As in USER: name or number, optionally `:group`; resolved in the container's own /etc/passwd. Empty is root. */
  readonly user: string;
  /** Whether it gets a terminal; what it writes is then one stream. */
  readonly terminal?: boolean;
}

/** What a container knows by name beside itself. */
export interface ContainerNames {
  /** Instead of the host's resolvers. */
  readonly dnsServers?: readonly string[];
  readonly dnsSearchDomains?: readonly string[];
  /** Further lines of /etc/hosts. */
  readonly hosts?: readonly { readonly name: string; readonly address: string }[];
}

export type NetworkMode =
  /** A namespace of its own without any interface but lo. */
  | { readonly mode: 'none' }
  | { readonly mode: 'host' }
  /** The network namespace at this path. */
  | { readonly mode: 'namespace'; readonly path: string };

export interface ContainerLimits {
  readonly memoryBytes?: number;
  /** Soft limit, bytes. */
  readonly memoryReservationBytes?: number;
  /** ECS CPU units: 1,024 are one core; relative share. */
  readonly cpuUnits?: number;
  /** Memory and swap together, -1 for all the swap there is; no swap when absent. */
  readonly memorySwapBytes?: number;
  /** So much processor time in every period (100 ms when absent), in microseconds. */
  readonly cpuQuotaUs?: number;
  readonly cpuPeriodUs?: number;
  /** Processors, and nodes of memory, by number: `0-2,4`. */
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  readonly pids?: number;
}

export interface ContainerSpec {
  /** Unique on the host: letters, digits, `-` and `_`. */
  readonly id: string;
  /** The mounted root. */
  readonly rootfs: string;
  readonly process: ContainerProcess;
  readonly hostname: string;
  readonly mounts: readonly RuntimeMount[];
  readonly network: NetworkMode;
  readonly limits: ContainerLimits;
  readonly readonlyRootfs?: boolean;
  /** Added to and dropped from the default set, in docker's names without CAP_. */
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
  readonly privileged?: boolean;
  readonly ulimits?: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly shmBytes?: number;
  /** Kernel settings of the container's own namespaces; others are refused. */
  readonly sysctls?: Readonly<Record<string, string>>;
  /** Runs a small init as process 1, which reaps orphans and hands signals on. */
  readonly init?: boolean;
  /** Keeps standard input open, though nobody may ever write to it. Supervised containers only. */
  readonly stdin?: boolean;
  readonly names?: ContainerNames;
}

export interface PortMapping {
  readonly containerPort: number;
  readonly hostPort: number;
  /** Address the host listens on. */
  readonly hostIp: string;
  readonly protocol: 'tcp' | 'udp';
}
