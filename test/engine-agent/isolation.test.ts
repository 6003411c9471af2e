/** Ways out of a container, tried from inside one that runs as root with the default rights. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { mustRun, serviceAddress } from '../../lib/runtime/index.js';
import { isContainer, payloadOf, pushBusybox, script } from './agent-host.js';
import { AgentSuite, describeRuntimes } from './agent-suite.js';

/** Writes to the first of these files of a cgroup that is there. */
function existing(command: string, names: string): string {
  return `for d in /sys/fs/cgroup /sys/fs/cgroup/*; do for n in ${names}; do test -e $d/$n && ${command} > $d/$n && exit 0; done; done; exit 1`;
}

/** Each is a command that succeeds only when it got out. */
const ESCAPES: readonly (readonly [name: string, command: string])[] = [
  ['mount a tmpfs', 'mount -t tmpfs none /tmp'],
  ['mount proc anew', 'mkdir -p /p && mount -t proc proc /p'],
  ['mount sysfs writable', 'mkdir -p /s && mount -t sysfs sysfs /s'],
  ['bind its own root elsewhere', 'mkdir -p /b && mount --bind / /b'],
  ['remount /proc/sys writable', 'mount -o remount,rw /proc/sys'],
  ['remount /sys writable', 'mount -o remount,rw /sys'],
  ['unmount what masks /proc/kcore', 'umount /proc/kcore'],
  ['unmount its hosts file', 'umount /etc/hosts'],
  ['change the root by pivot_root', 'mkdir -p /r/old && pivot_root /r /r/old'],
  ['open a disk it makes a device for', 'mknod /disk b 8 0 && dd if=/disk of=/dev/null count=1'],
  ['open memory it makes a device for', 'mknod /mem c 1 1 && dd if=/mem of=/dev/null bs=1 count=1'],
  ['open the kernel log it makes a device for', 'mknod /kmsg c 1 11 && head -c 1 /kmsg'],
  ['read the kernel memory image', 'test "$(head -c 1 /proc/kcore | wc -c)" -gt 0'],
  ['read the keys of others', 'test "$(head -c 1 /proc/keys | wc -c)" -gt 0'],
  ['read the kernel log', 'dmesg'],
  ['write a setting of the machine', 'echo 1 > /proc/sys/vm/overcommit_memory'],
  ['set the program for core dumps', 'echo "|/bin/sh" > /proc/sys/kernel/core_pattern'],
  ['press the magic key', 'echo h > /proc/sysrq-trigger'],
  ['write to sysfs', 'echo 1 > /sys/kernel/profiling || echo x > /sys/kernel/uevent_helper'],
  ['set a release agent', existing('echo /x', 'release_agent')],
  ['raise its own memory limit', existing('echo 999999999999', 'memory.limit_in_bytes memory.max')],
  ['leave its cgroup', existing('echo $$', 'cgroup.procs tasks')],
  ['see processes of the host', 'test "$(ls -d /proc/[0-9]* | wc -l)" -gt 12'],
  ['see the root of another process than its own', 'test -e /proc/1/root/proc/1/root/usr/lib/cni'],
  ['signal a process of the host', 'kill -0 $HOST_PID'],
  ['make namespaces', 'unshare -m true'],
  ['make a user namespace', 'unshare -r true'],
  ['make a network namespace', 'unshare -n true'],
  ['set the clock', 'date -s 2001-01-01; test "$(date +%Y)" = 2001'],
  ['load a module', 'echo x > /x.ko; insmod /x.ko 2>&1 | grep -qv -i "not permitted" && test -d /sys/module/x'],
  ['restart the machine', 'reboot -f'],
  ['turn swap off', 'swapoff -a && swapoff /dev/sda'],
  ['rename the machine', 'hostname stolen'],
  ['configure its network', 'ip link set eth0 down'],
  ['reach the credentials of the machine', 'nc -w 2 169.254.169.254 80 < /dev/null'],
  ['reach a service on the loopback of the host', 'nc -w 2 $GATEWAY $HOST_PORT < /dev/null'],
  ['reach it by its own loopback', 'nc -w 2 127.0.0.1 $HOST_PORT < /dev/null'],
  ['find a Docker or containerd socket', 'ls /var/run/docker.sock /run/containerd/containerd.sock /run/wharf*'],
  ['see what other tasks store', 'ls $DATA/runtime/tasks || ls $DATA/layers || ls $DATA/records'],
  ['ask for another task’s credentials', 'wget -q -O - http://169.254.170.2/v2/credentials/'],
  ['reach the platform’s own services by their address', 'nc -w 2 $SERVICES 51679 < /dev/null'],
  ['reach the state of the runtime', 'ls /run/wharf-* /run/netns /var/lib/cni'],
  ['leave by a relative path of its root', 'cd / && test -e ../../../../usr/lib/cni'],
  [
    'find a file of the host in its mount table',
    'test -e $(grep -o "upperdir=[^,]*" /proc/mounts | head -n 1 | tr "=" "\n" | tail -n 1)/..',
  ],
];

/** System calls that nobody needs in a container, by their numbers on x86_64 and arm64; each succeeds only outside. */
const CALLS: readonly (readonly [name: string, numbers: readonly [number, number], args: string])[] = [
  ['load a program into the kernel', [321, 280], '0, pack("LLLLL", 2, 4, 4, 1, 0) . ("\\0" x 100), 120'],
  ['ask for the session’s key ring', [250, 219], '0, -3, 1'],
  ['add a key', [248, 217], '"user\\0", "stolen\\0", "x", 1, -3'],
  ['attach to a process of the host', [101, 117], '16, $host, 0, 0'],
  [
    'read the memory of a process of the host',
    [310, 270],
    '$host, pack("PQ", $buffer, 16), 1, pack("PQ", $buffer, 16), 1, 0',
  ],
  ['watch the machine’s counters', [298, 241], 'pack("LL", 1, 112) . ("\\0" x 104), -1, 0, -1, 0'],
  ['open a file by its handle', [304, 265], '0, pack("LLQ", 8, 1, 2), 0'],
  ['load another kernel', [246, 104], '0, 0, $buffer, 0'],
  ['load a module', [175, 105], '$buffer, 1, ""'],
  ['load a module from a file', [313, 273], '0, "", 0'],
  ['unload a module', [176, 106], '"dummy\\0", 0'],
  ['handle page faults itself', [323, 282], '0'],
  ['enter a namespace', [308, 268], '$namespace, 0'],
  ['unshare a user namespace', [272, 97], '0x10000000'],
  ['unshare a mount namespace', [272, 97], '0x00020000'],
  ['turn accounting on', [163, 89], '"/tmp\\0"'],
  ['read the kernel’s log', [103, 116], '3, $buffer, 16'],
  ['swap to a file', [167, 224], '"/tmp\\0", 0'],
  ['set the clock', [164, 170], 'pack("QQ", 1000000000, 0), 0'],
  ['reach the machine that runs this one', [41, 198], '40, 1, 0'],
  ['submit work by a ring', [425, 425], '8, $buffer . ("\\0" x 200)'],
  ['copy the mounts of its root', [428, 428], '-100, "/\\0", 1'],
  ['open a file system', [430, 430], '"tmpfs\\0", 0'],
  ['change a mount', [442, 442], '-100, "/\\0", 0, pack("QQQQ", 0, 1, 0, 0), 32'],
  ['mount by the old call', [165, 40], '"none\\0", "/tmp\\0", "tmpfs\\0", 0, 0'],
  ['change its root', [155, 41], '"/tmp\\0", "/tmp\\0"'],
  ['set the name of the machine', [170, 161], '"stolen", 6'],
  ['lay quotas', [179, 60], '0x800002, "/\\0", 0, 0'],
];

/** A script that tries each and says what got through. */
function callScript(): string {
  const arm = process.arch === 'arm64' ? 1 : 0;
  const lines = CALLS.map(([name, numbers, args]) => `try_("${name}", ${numbers[arm]}, ${args});`);
  return [
    'my $host = int($ENV{HOST_PID}); my $buffer = "\\0" x 4096;',
    'open(my $file, "<", "/proc/1/ns/net"); my $namespace = fileno($file);',
    'sub try_ { my ($name, $number, @args) = @_; print "OUT $name\\n" if syscall($number, @args) >= 0; }',
    ...lines,
    'print "tried\\n";',
  ].join('\n');
}

/** The interpreter and what it is linked to, by their paths on this host. */
async function perl(): Promise<readonly string[]> {
  const { stdout } = await mustRun('ldd', ['/usr/bin/perl']);
  return ['/usr/bin/perl', ...[...stdout.matchAll(/(\/\S+) \(/g)].map(([, path = '']) => path)];
}

describeRuntimes('a container', (ociRuntime) => {
  const suite = new AgentSuite(
    () => ({ ociRuntime }),
    async (host) => pushBusybox(host, 'prober', {}, await perl()),
  );

  test(`gets nowhere by ${ESCAPES.length} ways out`, async () => {
    const secret = createServer((_, response) => response.end('of the host'));
    await new Promise<void>((resolve) => secret.listen(0, '127.0.0.1', resolve));
    const { port } = secret.address() as AddressInfo;
    try {
      const tries = ESCAPES.map(([name, command]) => `( ${command} ) >/dev/null 2>&1 && echo "OUT ${name}"`);
      const payload = payloadOf(
        {
          app: script(['GATEWAY=$(ip route | grep default | cut -d" " -f3)', ...tries, 'echo done'].join('\n'), {
            environment: [
              `HOST_PORT=${port}`,
              `HOST_PID=${process.pid}`,
              `DATA=${suite.directory}`,
              `SERVICES=${serviceAddress(suite.host.scope)}`,
            ],
          }),
        },
        { networkMode: 'bridge' },
      );
      await expect(suite.output(payload)).resolves.toEqual(['done']);
    } finally {
      secret.close();
    }
  }, 60_000);

  test(`gets nowhere by ${CALLS.length} system calls`, async () => {
    const app = script('exec perl -e "$CALLS"', {
      image: 'prober:1',
      environment: [`CALLS=${callScript()}`, `HOST_PID=${process.pid}`, 'PATH=/bin:/usr/bin'],
    });
    await expect(suite.output(payloadOf({ app }, { networkMode: 'bridge' }))).resolves.toEqual(['tried']);
  });

  test('out of an image whose /dev leads elsewhere is not made', async () => {
    await pushBusybox(suite.host, 'linked', {}, [], { dev: '/tmp' });
    const app = script('true', { image: 'linked:1' });
    await expect(suite.failure(payloadOf({ app }))).resolves.toContain('/dev of the image is a symbolic link');
  });

  test('over its memory limit it is ended with 137, and the reason says so', async () => {
    const payload = payloadOf({
      app: script('x=a; while true; do x=$x$x; done', { memoryBytes: 24 << 20 }),
    });
    suite.host.agent.run(payload);
    await expect(suite.host.event(isContainer(payload.taskId, 'app', 'STOPPED'))).resolves.toMatchObject({
      exitCode: 137,
      reason: 'OutOfMemoryError: Container killed due to memory usage',
    });
  });
});
