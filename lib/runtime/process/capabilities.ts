/** Linux capabilities of a container's process: the set docker gives by default, changed by add and drop. */
import { AppError } from '../../errors/index.js';

/** All capabilities of Linux 5.9 and later, in the kernel's order (capabilities(7)), without `CAP_`. */
const ALL_CAPABILITIES = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE',
  'NET_BROADCAST',
  'NET_ADMIN',
  'NET_RAW',
  'IPC_LOCK',
  'IPC_OWNER',
  'SYS_MODULE',
  'SYS_RAWIO',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_PACCT',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'MKNOD',
  'LEASE',
  'AUDIT_WRITE',
  'AUDIT_CONTROL',
  'SETFCAP',
  'MAC_OVERRIDE',
  'MAC_ADMIN',
  'SYSLOG',
  'WAKE_ALARM',
  'BLOCK_SUSPEND',
  'AUDIT_READ',
  'PERFMON',
  'BPF',
  'CHECKPOINT_RESTORE',
] as const;

const DEFAULT_CAPABILITIES: readonly string[] = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'NET_BIND_SERVICE',
  'NET_RAW',
  'SYS_CHROOT',
  'MKNOD',
  'AUDIT_WRITE',
  'SETFCAP',
];

/**
 * Names with `CAP_`, in the kernel's order. `ALL` may be added or dropped; what is both added and dropped by name is
 * kept, as in docker.
 * @throws AppError CAPABILITY_UNKNOWN
 */
export function capabilitySet(options: {
  readonly add?: readonly string[];
  readonly drop?: readonly string[];
  readonly privileged?: boolean;
}): readonly string[] {
  const add = (options.add ?? []).map(normalise);
  const drop = (options.drop ?? []).map(normalise);
  const base = options.privileged === true || add.includes('ALL') ? ALL_CAPABILITIES : DEFAULT_CAPABILITIES;
  return ALL_CAPABILITIES.filter(
    (name) => add.includes(name) || (base.includes(name) && !drop.includes(name) && !drop.includes('ALL')),
  ).map((name) => `CAP_${name}`);
}

/** All capabilities whose bit is not in the set, as /proc/<pid>/status writes it. */
export function missingFrom(bits: string): readonly string[] {
  const mask = BigInt(`0x${bits}`);
  return ALL_CAPABILITIES.filter((_, bit) => ((mask >> BigInt(bit)) & 1n) === 0n).map((name) => `CAP_${name}`);
}

function normalise(text: string): string {
  const name = text.toUpperCase().replace(/^CAP_/, '');
  if (name === 'ALL' || ALL_CAPABILITIES.some((known) => known === name)) return name;
  throw new AppError('CAPABILITY_UNKNOWN', `${JSON.stringify(text)} is not a Linux capability`, {
    hint: `ALL, or one of ${ALL_CAPABILITIES.join(', ')}`,
  });
}
