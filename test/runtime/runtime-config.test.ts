import { describe, expect, test } from '@jest/globals';
import { capabilitySet, type ContainerSpec, type HostScope, runtimeConfig } from '../../lib/runtime/index.js';

const SCOPE: HostScope = { id: 'a1b2c3', directory: '/data/runtime' };
const HOST = { architecture: 'x64', swapLimit: true, maxOpenFiles: 20_000 };
const USER = { uid: 1000, gid: 1001, additionalGids: [29], home: '/home/app', name: 'app' };
const SPEC: ContainerSpec = {
  id: 'web-1',
  rootfs: '/data/runtime/web-1/rootfs',
  process: { args: ['/bin/app'], env: ['A=b'], cwd: '', user: 'app' },
  hostname: 'web',
  mounts: [],
  network: { mode: 'namespace', path: '/run/netns/x' },
  limits: { memoryBytes: 1000, memoryReservationBytes: 500, cpuUnits: 1, pids: 10 },
};

describe('the runtime configuration of a container', () => {
  const config = runtimeConfig(SPEC, USER, SCOPE, HOST);

  test('puts the process under the scope, in namespaces of its own', () => {
    expect(config.linux.cgroupsPath).toBe('/wharf-a1b2c3/web-1');
    expect(config.linux.namespaces.map(({ type }) => type)).toEqual(
      expect.arrayContaining(['pid', 'ipc', 'uts', 'mount', 'cgroup', 'network']),
    );
    expect(config.linux.namespaces).toContainEqual({ type: 'network', path: '/run/netns/x' });
  });

  test('gives the process path, home and working folder when the image has none', () => {
    expect(config.process.cwd).toBe('/');
    expect(config.process.env).toContain('HOME=/home/app');
    expect(config.process.env.some((entry) => entry.startsWith('PATH=/usr/local/sbin'))).toBe(true);
    const own = runtimeConfig(
      { ...SPEC, process: { ...SPEC.process, env: ['PATH=/x', 'HOME=/y'] } },
      USER,
      SCOPE,
      HOST,
    );
    expect(own.process.env).toEqual(['PATH=/x', 'HOME=/y']);
  });

  test('leaves a user other than root without capabilities of its own', () => {
    expect(config.process.capabilities.effective).toEqual([]);
    expect(config.process.capabilities.bounding).toContain('CAP_NET_BIND_SERVICE');
    expect(config.process.capabilities.bounding).not.toContain('CAP_SYS_ADMIN');
  });

  test('limits memory without swap, keeps the least share of processor, and shuts all devices but the default ones', () => {
    expect(config.linux.resources).toEqual({
      devices: [{ allow: false, access: 'rwm' }],
      memory: { limit: 1000, swap: 1000, reservation: 500 },
      cpu: { shares: 2 },
      pids: { limit: 10 },
    });
    const without = runtimeConfig(SPEC, USER, SCOPE, { ...HOST, swapLimit: false });
    expect(without.linux.resources['memory']).toEqual({ limit: 1000, reservation: 500 });
  });

  test('never asks for more open files than the host allows', () => {
    expect(config.process.rlimits).toEqual([{ type: 'RLIMIT_NOFILE', soft: 20_000, hard: 20_000 }]);
  });

  test('masks what tells about or changes the kernel', () => {
    expect(config.linux.maskedPaths).toContain('/proc/kcore');
    expect(config.linux.readonlyPaths).toContain('/proc/sys');
    expect(config.mounts.find(({ destination }) => destination === '/sys')?.options).toContain('ro');
  });

  test('takes no source from the data folder', () => {
    expect(config.mounts.filter(({ source }) => source.startsWith('/data'))).toEqual([]);
    expect(config.mounts.filter(({ type }) => type === 'bind').map(({ destination }) => destination)).toEqual([
      '/etc/hostname',
      '/etc/hosts',
      '/etc/resolv.conf',
    ]);
  });

  test('lets own mounts take the place of the usual ones', () => {
    const spec: ContainerSpec = {
      ...SPEC,
      mounts: [
        { destination: '/etc/hosts', type: 'bind', source: '/x/hosts', readonly: true },
        { destination: '/dev/shm', type: 'tmpfs', sizeBytes: 4096, mode: 0o700 },
      ],
    };
    const { mounts } = runtimeConfig(spec, USER, SCOPE, HOST);
    expect(mounts.filter(({ destination }) => destination === '/etc/hosts')).toEqual([
      { destination: '/etc/hosts', type: 'bind', source: '/x/hosts', options: ['rbind', 'rprivate', 'ro'] },
    ]);
    expect(mounts.filter(({ destination }) => destination === '/dev/shm')).toEqual([
      {
        destination: '/dev/shm',
        type: 'tmpfs',
        source: 'tmpfs',
        options: ['nosuid', 'nodev', 'rw', 'mode=700', 'size=4096'],
      },
    ]);
  });

  test('refuses an empty command and an unknown limit', () => {
    const empty = { ...SPEC, process: { ...SPEC.process, args: [] } };
    expect(() => runtimeConfig(empty, USER, SCOPE, HOST)).toThrow(expect.objectContaining({ code: 'PROCESS_EMPTY' }));
    const odd = { ...SPEC, ulimits: [{ name: 'luck', soft: 1, hard: 1 }] };
    expect(() => runtimeConfig(odd, USER, SCOPE, HOST)).toThrow(
      expect.objectContaining({ code: 'ULIMIT_UNKNOWN', message: expect.stringContaining('luck') }),
    );
  });

  test('opens everything to a privileged container only', () => {
    const privileged = runtimeConfig({ ...SPEC, privileged: true }, { ...USER, uid: 0 }, SCOPE, HOST);
    expect(privileged.linux.seccomp).toBeUndefined();
    expect(privileged.linux.maskedPaths).toEqual([]);
    expect(privileged.process.capabilities.effective).toContain('CAP_SYS_ADMIN');
  });
});

describe('the system call filter', () => {
  const filterOf = (spec: Partial<ContainerSpec>) =>
    runtimeConfig({ ...SPEC, ...spec }, USER, SCOPE, HOST).linux.seccomp;
  const allowed = (spec: Partial<ContainerSpec>) =>
    filterOf(spec)?.syscalls.find(({ args, action }) => args === undefined && action === 'SCMP_ACT_ALLOW')?.names ?? [];

  test('refuses by default and allows what programs need', () => {
    expect(filterOf({})?.defaultAction).toBe('SCMP_ACT_ERRNO');
    expect(allowed({})).toEqual(expect.arrayContaining(['openat', 'execve', 'futex', 'epoll_wait', 'chroot']));
  });

  test.each([
    'mount',
    'reboot',
    'init_module',
    'bpf',
    'keyctl',
    'kexec_load',
    'io_uring_setup',
    'userfaultfd',
    'setns',
  ])('does not allow %s', (name) => expect(allowed({})).not.toContain(name));

  test('lists no call twice', () => {
    const names = allowed({});
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });

  test('allows mount when SYS_ADMIN was added, and closes chroot when SYS_CHROOT was dropped', () => {
    expect(allowed({ capabilities: { add: ['SYS_ADMIN'] } })).toContain('mount');
    expect(allowed({ capabilities: { drop: ['CAP_SYS_CHROOT'] } })).not.toContain('chroot');
  });

  test('answers clone3 with ENOSYS, so that programs fall back to clone, whose flags can be seen', () => {
    expect(filterOf({})?.syscalls).toContainEqual({ names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 });
  });
});

describe('capabilities', () => {
  test('are docker’s fourteen by default', () => {
    expect(capabilitySet({})).toHaveLength(14);
  });

  test('can all be dropped and single ones kept', () => {
    expect(capabilitySet({ drop: ['ALL'], add: ['net_raw'] })).toEqual(['CAP_NET_RAW']);
    expect(capabilitySet({ add: ['ALL'], drop: ['SYS_ADMIN'] })).not.toContain('CAP_SYS_ADMIN');
  });

  test('are refused when unknown', () => {
    expect(() => capabilitySet({ add: ['FLY'] })).toThrow(expect.objectContaining({ code: 'CAPABILITY_UNKNOWN' }));
  });
});
