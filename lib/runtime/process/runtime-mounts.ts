/**
 * The mounts of a container: those that every one has, as docker would make them, the files of /etc that are its own,
 * and what its task asks for.
 */
import { AppError } from '../../errors/index.js';
import { scopePaths } from '../host/host-scope.js';
import type { ContainerSpec, HostScope, RuntimeMount } from '../types.js';

export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

const DEFAULT_SHM_BYTES = 64 * 1024 * 1024;
/** Names inside /etc that are the container's own, made by us. */
export const ETC_FILES = ['hostname', 'hosts', 'resolv.conf'] as const;
/** Where the init lies inside: in the container's own /dev, so that nothing is left in its root. */
export const INIT_PATH = '/dev/init';

/** In the order in which they are made. @param initProgram of the host @throws AppError INIT_MISSING, MOUNT_INVALID */
export function containerMounts(spec: ContainerSpec, scope: HostScope, initProgram: string | undefined): OciMount[] {
  return [
    ...systemMounts(spec),
    ...initMount(spec, initProgram),
    ...etcMounts(spec, scope),
    ...spec.mounts.map(ownMount),
  ];
}

function systemMounts(spec: ContainerSpec): OciMount[] {
  const access = spec.privileged === true ? 'rw' : 'ro';
  const shm = spec.shmBytes ?? DEFAULT_SHM_BYTES;
  const mount = (destination: string, type: string, options: string): OciMount => ({
    destination,
    type,
    source: type,
    options: options.split(' '),
  });
  const all = [
    mount('/proc', 'proc', 'nosuid noexec nodev'),
    mount('/dev', 'tmpfs', 'nosuid strictatime mode=755 size=65536k'),
    mount('/dev/pts', 'devpts', 'nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5'),
    mount('/sys', 'sysfs', `nosuid noexec nodev ${access}`),
    mount('/sys/fs/cgroup', 'cgroup', `nosuid noexec nodev relatime ${access}`),
    mount('/dev/mqueue', 'mqueue', 'nosuid noexec nodev'),
    mount('/dev/shm', 'tmpfs', `nosuid noexec nodev mode=1777 size=${shm}`),
  ];
  return all.filter(({ destination }) => !spec.mounts.some((own) => own.destination === destination));
}

function initMount(spec: ContainerSpec, initProgram: string | undefined): OciMount[] {
  if (spec.init !== true) return [];
  if (initProgram === undefined) {
    throw new AppError('INIT_MISSING', 'an init process was asked for, and this machine has no program for it', {
      kind: 'unavailable',
      hint: 'apt-get install tini, or catatonit',
    });
  }
  return [{ destination: INIT_PATH, type: 'bind', source: initProgram, options: ['bind', 'rprivate', 'ro'] }];
}

function etcMounts(spec: ContainerSpec, scope: HostScope): OciMount[] {
  return ETC_FILES.filter((name) => !spec.mounts.some((own) => own.destination === `/etc/${name}`)).map((name) => ({
    destination: `/etc/${name}`,
    type: 'bind',
    source: `${scopePaths.etc(scope, spec.id)}/${name}`,
    options: ['rbind', 'rprivate', 'rw'],
  }));
}

function ownMount(mount: RuntimeMount): OciMount {
  const access = mount.readonly === true ? 'ro' : 'rw';
  if (mount.type === 'tmpfs') {
    const size = mount.sizeBytes === undefined ? [] : [`size=${mount.sizeBytes}`];
    const mode = [`mode=${(mount.mode ?? 0o1777).toString(8)}`];
    return {
      destination: mount.destination,
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'nodev', access, ...mode, ...size, ...tmpfsOptions(mount.options ?? [])],
    };
  }
  if (mount.source === undefined) {
    throw new AppError('MOUNT_INVALID', `bind mount at ${mount.destination} has no source`, { kind: 'internal' });
  }
  return {
    destination: mount.destination,
    type: 'bind',
    source: mount.source,
    options: ['rbind', 'rprivate', access],
  };
}

/** What may be said about a tmpfs: ECS's list without `suid` and `dev`. */
const TMPFS_OPTIONS = new Set(
  'defaults ro rw nosuid nodev exec noexec sync async dirsync remount mand nomand atime noatime diratime nodiratime bind rbind unbindable runbindable private rprivate shared rshared slave rslave relatime norelatime strictatime nostrictatime mode uid gid nr_inodes nr_blocks mpol'.split(
    ' ',
  ),
);
/** Accepted in ECS and of no meaning for a tmpfs of one container. */
const TMPFS_MEANINGLESS = new Set(
  'defaults remount bind rbind unbindable runbindable private rprivate shared rshared slave rslave mand nomand'.split(
    ' ',
  ),
);

/** The options that say something. @throws AppError MOUNT_INVALID for any that is not in ECS's list, or `dev` */
export function tmpfsOptions(options: readonly string[]): readonly string[] {
  return options.filter((option) => {
    const name = option.split('=')[0] ?? '';
    if (!TMPFS_OPTIONS.has(name) || /[,\s]/.test(option)) {
      throw new AppError('MOUNT_INVALID', `${JSON.stringify(option)} is not an option of a tmpfs here`, {
        hint: [...TMPFS_OPTIONS].join(', '),
      });
    }
    return !TMPFS_MEANINGLESS.has(name);
  });
}
