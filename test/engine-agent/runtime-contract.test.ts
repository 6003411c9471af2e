/** What task definitions ask for beyond a command: each seen from inside a real container. */
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { AgentEvent, TaskPayload } from '../../lib/engine/agent/index.js';
import { hostResidue, sweepHost } from '../../lib/runtime/index.js';
import { systemClock } from '../../lib/store/clock-system.js';
import { requireTools } from '../host-tools.js';
import { type AgentHost, isContainer, isStopped, openAgentHost, payloadOf, pushBusybox, script } from './agent-host.js';

requireTools('root', 'runc', 'conmon', 'ip', 'iptables', 'bridge', 'busybox').describe('the runtime contract', () => {
  let directory: string;
  let host: AgentHost;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'wharf-contract-'));
    host = await openAgentHost(directory, { allowedHostPaths: [join(directory, 'allowed')] });
    await pushBusybox(host, 'busybox');
    await pushBusybox(host, 'keeper', { Volumes: { '/data': {} } });
  });
  afterAll(async () => {
    await host.close();
    try {
      await sweepHost({ scope: host.scope, clock: systemClock }, new Set());
      expect(await hostResidue(host.scope)).toEqual([]);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  const start = (payload: TaskPayload): string => {
    host.agent.run(payload);
    return payload.taskId;
  };
  const logOf = async (taskId: string, name = 'app'): Promise<string[]> => {
    const lines: string[] = [];
    for await (const line of host.agent.logs(taskId, name, { follow: true }) ?? []) lines.push(line.text);
    return lines;
  };
  /** What the task's container `app` wrote, after the task has ended. */
  const output = async (payload: TaskPayload): Promise<string[]> => {
    const taskId = start(payload);
    const stopped = await host.event(isContainer(taskId, 'app', 'STOPPED'));
    expect(stopped.reason).toBeUndefined();
    await host.event(isStopped(taskId));
    return logOf(taskId);
  };
  const failure = async (payload: TaskPayload): Promise<string | undefined> => {
    const taskId = start(payload);
    await host.event(isStopped(taskId));
    return (await host.event(isContainer(taskId, 'app', 'STOPPED'))).reason;
  };
  const stop = async (taskId: string): Promise<void> => {
    host.agent.stop(taskId, { stopCode: 'UserInitiated', reason: 'enough' });
    await host.event(isStopped(taskId));
  };

  test('hostname, further hosts and resolvers are what was asked for', async () => {
    const lines = await output(
      payloadOf({
        app: script('hostname; grep db.internal /etc/hosts; cat /etc/resolv.conf | grep -v "^#" | grep -E "name|sea"', {
          hostname: 'box.example',
          extraHosts: [{ name: 'db.internal', address: '10.9.8.7' }],
          dnsServers: ['10.0.0.53'],
          dnsSearchDomains: ['corp.example', 'example'],
        }),
      }),
    );
    expect(lines).toEqual([
      'box.example',
      '10.9.8.7\tdb.internal',
      'search corp.example example',
      'nameserver 10.0.0.53',
    ]);
  });

  test('tmpfs, shared memory, sysctls, limits and capabilities hold inside', async () => {
    const lines = await output(
      payloadOf(
        {
          app: script(
            [
              'grep " /scratch " /proc/mounts | grep -c "noexec.*size=4096k"',
              'df -k /dev/shm | tail -n 1 | tr -s " " | grep -c " 8192 "',
              'cat /proc/sys/net/core/somaxconn /proc/sys/kernel/msgmax',
              'grep "open files" /proc/self/limits | tr -s " "',
              'grep "cpu time" /proc/self/limits | tr -s " "',
              'grep CapBnd /proc/self/status',
            ].join('; '),
            {
              tmpfs: [{ path: '/scratch', sizeBytes: 4 << 20, options: ['mode=700'] }],
              shmBytes: 8 << 20,
              sysctls: { 'net.core.somaxconn': '77', 'kernel.msgmax': '4096' },
              ulimits: [
                { name: 'nofile', softLimit: 100, hardLimit: 200 },
                { name: 'cpu', softLimit: -1, hardLimit: -1 },
              ],
              capabilities: { add: ['SYS_NICE'], drop: ['ALL'] },
            },
          ),
        },
        { networkMode: 'none' },
      ),
    );
    expect(lines).toEqual([
      '1',
      '1',
      '77',
      '4096',
      'Max open files 100 200 files ',
      'Max cpu time unlimited unlimited seconds ',
      `CapBnd:\t${(1 << 23).toString(16).padStart(16, '0')}`,
    ]);
  });

  test('a setting of the whole machine is refused by name', async () => {
    await expect(failure(payloadOf({ app: script('true', { sysctls: { 'vm.swappiness': '1' } }) }))).resolves.toContain(
      'vm.swappiness is not a setting of the container alone',
    );
  });

  test('an init process is number 1, hands signals on and reaps orphans', async () => {
    const taskId = start(
      payloadOf({
        app: script(
          '(sleep 0.1 &) ; trap "echo told; exit 4" TERM; cat /proc/1/comm; echo up; while true; do sleep 0.05; done',
          {
            init: true,
          },
        ),
      }),
    );
    await wrote(taskId, 'up');
    await stop(taskId);
    expect((await logOf(taskId))[0]).toBe('init');
    await expect(logOf(taskId)).resolves.toContain('told');
    await expect(host.event(isContainer(taskId, 'app', 'STOPPED'))).resolves.toMatchObject({ exitCode: 4 });
  });

  test('a terminal is one, and open standard input never ends', async () => {
    await expect(output(payloadOf({ app: script('tty; test -t 1 && echo yes', { terminal: true }) }))).resolves.toEqual(
      ['/dev/pts/0\r', 'yes\r'],
    );
    const open = start(payloadOf({ app: script('echo up; cat; echo ended', { stdin: true, stopTimeoutSeconds: 0 }) }));
    const closed = await output(payloadOf({ app: script('cat; echo ended') }));
    expect(closed).toEqual(['ended']);
    await wrote(open, 'up');
    await stop(open);
    await expect(logOf(open)).resolves.toEqual(['up']);
  });

  test('a restart policy runs the container again in the root it had, until a code that is to be left alone', async () => {
    const taskId = start(
      payloadOf({
        app: script('echo run >> /runs; wc -l < /runs; test $(wc -l < /runs) -lt 3 && exit 1; exit 9', {
          restartPolicy: { ignoredExitCodes: [9], attemptPeriodSeconds: 0 },
        }),
      }),
    );
    await expect(host.event(isContainer(taskId, 'app', 'STOPPED'))).resolves.toMatchObject({ exitCode: 9 });
    await host.event(isStopped(taskId));
    await expect(logOf(taskId)).resolves.toEqual(['1', '2', '3']);
    const ofTask = host.events.filter((event: AgentEvent) => event.taskId === taskId && event.type === 'container');
    expect(new Set(ofTask.map((event) => event.type === 'container' && event.status)).size).toBe(3);
    expect(ofTask.filter((event) => event.type === 'container' && event.status === 'STOPPED')).toHaveLength(1);
  });

  test('a container that ends before the attempt period is over is not restarted', async () => {
    await expect(
      output(
        payloadOf({ app: script('echo once', { restartPolicy: { ignoredExitCodes: [], attemptPeriodSeconds: 60 } }) }),
      ),
    ).resolves.toEqual(['once']);
  });

  test('a container that is restarted over and over stops when its task does', async () => {
    const taskId = start(
      payloadOf({
        app: script('echo run', {
          restartPolicy: { ignoredExitCodes: [], attemptPeriodSeconds: 0 },
          stopTimeoutSeconds: 1,
        }),
      }),
    );
    await host.event(isContainer(taskId, 'app', 'RUNNING'));
    await stop(taskId);
    expect((await hostResidue(host.scope)).filter((line) => line.includes(taskId))).toEqual([]);
  });

  test('a named volume is shared by the containers of a task, begins with the image’s files, and goes with the task', async () => {
    const volumes = [{ name: 'work', scope: 'task' as const }];
    const mountPoints = [{ volume: 'work', path: '/data', readonly: false }];
    const payload = payloadOf(
      {
        app: script(
          'cat /shared/seed; echo; cat /shared/new; touch /shared/x 2>&1 | grep -c Read-only; stat -c %u:%a /shared',
          {
            mountPoints: [{ volume: 'work', path: '/shared', readonly: true }],
            dependsOn: [{ containerName: 'writer', condition: 'SUCCESS' }],
          },
        ),
        writer: script('echo written > /data/new', { essential: false, mountPoints }),
      },
      { volumes },
    );
    await expect(output(payload)).resolves.toEqual(['from the image', 'written', '1', '1000:700']);
    await expect(readdir(join(host.scope.directory, 'tasks', payload.taskId))).rejects.toThrow('ENOENT');
  });

  test('a shared volume outlives its task and is the same for the next one of the cluster', async () => {
    const volumes = [{ name: 'keep', scope: 'shared' as const }];
    const mountPoints = [{ volume: 'keep', path: '/keep', readonly: false }];
    const next = (more: Partial<TaskPayload> = {}): Promise<string[]> =>
      output(
        payloadOf({ app: script('echo run >> /keep/runs; wc -l < /keep/runs', { mountPoints }) }, { volumes, ...more }),
      );
    await expect(next()).resolves.toEqual(['1']);
    await expect(next()).resolves.toEqual(['2']);
    await expect(next({ clusterName: 'other' })).resolves.toEqual(['1']);
  });

  test('a path that the image declares is a volume of its own, and volumesFrom hands it on', async () => {
    const lines = await output(
      payloadOf({
        app: script('cat /data/seed; cat /data/note; touch /data/x 2>&1 | grep -c Read-only', {
          volumesFrom: [{ container: 'keeper', readonly: true }],
          dependsOn: [{ containerName: 'keeper', condition: 'SUCCESS' }],
        }),
        keeper: script('echo " noted" > /data/note; grep -c " /data " /proc/mounts', {
          image: 'keeper:1',
          essential: false,
        }),
      }),
    );
    expect(lines).toEqual(['from the image noted', '1']);
  });

  test('a folder of the host is mounted only below what the operator allows, links resolved', async () => {
    await mkdir(join(directory, 'allowed', 'in'), { recursive: true });
    await writeFile(join(directory, 'allowed', 'in', 'file'), 'of the host\n');
    await symlink('/etc', join(directory, 'allowed', 'out'));
    const task = (hostPath: string): TaskPayload =>
      payloadOf(
        { app: script('cat /mnt/file', { mountPoints: [{ volume: 'host', path: '/mnt', readonly: true }] }) },
        { volumes: [{ name: 'host', scope: 'task', hostPath }] },
      );
    await expect(output(task(join(directory, 'allowed', 'in')))).resolves.toEqual(['of the host']);
    for (const path of ['/etc', join(directory, 'allowed', 'out'), join(directory, 'allowed', '..')]) {
      await expect(failure(task(path))).resolves.toContain('is not among the folders of the host that tasks may mount');
    }
  });

  test('a mount point behind a link of the image stays inside the container', async () => {
    const lines = await output(
      payloadOf(
        {
          app: script('ls /out/seed', {
            mountPoints: [{ volume: 'v', path: '/out', readonly: false }],
            volumesFrom: [],
          }),
        },
        { volumes: [{ name: 'v', scope: 'task' }] },
      ),
    ).catch(() => ['none']);
    expect(lines).toEqual(['ls: /out/seed: No such file or directory']);
  });

  test('links give names to containers that start first', async () => {
    const lines = await output(
      payloadOf(
        {
          app: script('wget -q -O - http://site/; grep -c -E "\\b(web|site)$" /etc/hosts', {
            links: [{ container: 'web', alias: 'site' }],
            dependsOn: [{ containerName: 'web', condition: 'HEALTHY' }],
          }),
          web: script('httpd -f -p 80 -h /www', {
            essential: false,
            stopTimeoutSeconds: 0,
            healthCheck: {
              command: ['CMD-SHELL', 'wget -q -O /dev/null http://127.0.0.1/'],
              intervalSeconds: 0.1,
              timeoutSeconds: 5,
              retries: 9,
              startPeriodSeconds: 0,
            },
          }),
        },
        { networkMode: 'bridge' },
      ),
    );
    expect(lines).toEqual(['hello from a task', '2']);
  });

  test('a range of ports is published as a range', async () => {
    const taskId = start(
      payloadOf(
        {
          app: script('for p in 8000 8001 8002; do httpd -p $p -h /www; done; echo up; sleep 1000', {
            portMappings: [{ containerPort: 8000, lastContainerPort: 8002, protocol: 'tcp' }],
            stopTimeoutSeconds: 0,
          }),
        },
        { networkMode: 'bridge' },
      ),
    );
    const { networkBindings = [] } = await host.event(isContainer(taskId, 'app', 'RUNNING'));
    await wrote(taskId, 'up');
    const first = networkBindings[0]?.hostPort ?? 0;
    expect(networkBindings.map(({ hostPort }) => hostPort)).toEqual([first, first + 1, first + 2]);
    expect(networkBindings[1]?.range).toEqual({ container: '8000-8002', host: `${first}-${first + 2}` });
    for (const { hostPort } of networkBindings) {
      expect(await (await fetch(`http://127.0.0.1:${hostPort}/`)).text()).toBe('hello from a task\n');
    }
    await stop(taskId);
  });

  test('the containers of an awsvpc task share one address, and reach one another on loopback', async () => {
    const taskId = start(
      payloadOf(
        {
          app: script('wget -q -O - http://127.0.0.1:80/; ip -4 addr show eth0 | grep -c inet', {
            dependsOn: [{ containerName: 'web', condition: 'HEALTHY' }],
            portMappings: [],
          }),
          web: script('httpd -f -p 80 -h /www', {
            essential: false,
            stopTimeoutSeconds: 0,
            portMappings: [{ containerPort: 80, protocol: 'tcp' }],
            healthCheck: {
              command: ['CMD-SHELL', 'wget -q -O /dev/null http://127.0.0.1/'],
              intervalSeconds: 0.1,
              timeoutSeconds: 5,
              retries: 9,
              startPeriodSeconds: 0,
            },
          }),
        },
        { networkMode: 'awsvpc' },
      ),
    );
    const web = await host.event(isContainer(taskId, 'web', 'RUNNING'));
    expect(web).toMatchObject({ ownInterface: true, networkBindings: [], address: expect.stringMatching(/^10\./) });
    expect((await host.event(isContainer(taskId, 'app', 'RUNNING'))).address).toBe(web.address);
    await expect(logOf(taskId)).resolves.toEqual(['hello from a task', '1']);
    await host.event(isStopped(taskId));
    expect((await hostResidue(host.scope)).filter((line) => line.includes(taskId))).toEqual([]);
  });

  test('a container without network has none in a task that has', async () => {
    await expect(
      output(payloadOf({ app: script('ls /sys/class/net', { disableNetworking: true }) }, { networkMode: 'bridge' })),
    ).resolves.toEqual(['lo']);
  });

  async function wrote(taskId: string, text: string): Promise<void> {
    for await (const line of host.agent.logs(taskId, 'app', { follow: true }) ?? []) if (line.text === text) return;
    throw new Error(`app ended and never wrote ${text}`);
  }
});
