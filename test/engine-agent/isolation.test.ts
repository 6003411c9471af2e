/** Thirty ways out of a container, tried from inside one that runs as root with the default rights. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { isContainer, isStopped, payloadOf, script } from './agent-host.js';
import { AgentSuite, describeAgent } from './agent-suite.js';

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
  ['leave by a relative path of its root', 'cd / && test -e ../../../../usr/lib/cni'],
  [
    'find a file of the host in its mount table',
    'test -e $(grep -o "upperdir=[^,]*" /proc/mounts | head -n 1 | tr "=" "\n" | tail -n 1)/..',
  ],
];

describeAgent('a container', () => {
  const suite = new AgentSuite();

  test(`gets nowhere by ${ESCAPES.length} ways out`, async () => {
    const secret = createServer((_, response) => response.end('of the host'));
    await new Promise<void>((resolve) => secret.listen(0, '127.0.0.1', resolve));
    const { port } = secret.address() as AddressInfo;
    try {
      const tries = ESCAPES.map(([name, command]) => `( ${command} ) >/dev/null 2>&1 && echo "OUT ${name}"`);
      const payload = payloadOf(
        {
          app: script(['GATEWAY=$(ip route | grep default | cut -d" " -f3)', ...tries, 'echo done'].join('\n'), {
            environment: [`HOST_PORT=${port}`, `HOST_PID=${process.pid}`],
          }),
        },
        { networkMode: 'bridge' },
      );
      suite.host.agent.run(payload);
      await suite.host.event(isStopped(payload.taskId));
      const lines: string[] = [];
      for await (const line of suite.host.agent.logs(payload.taskId, 'app', { follow: true }) ?? [])
        lines.push(line.text);
      expect(lines).toEqual(['done']);
    } finally {
      secret.close();
    }
  }, 60_000);

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
