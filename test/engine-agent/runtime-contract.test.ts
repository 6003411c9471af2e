/** What task definitions ask for beyond a command: each seen from inside a real container. */
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import type { AgentEvent, TaskPayload } from '../../lib/engine/agent/index.js';
import { hostResidue } from '../../lib/runtime/index.js';
import { isContainer, isStopped, payloadOf, pushBusybox, script } from './agent-host.js';
import { AgentSuite, describeRuntimes } from './agent-suite.js';

describeRuntimes('the runtime contract', (ociRuntime) => {
  const suite = new AgentSuite(
    (directory) => ({ ociRuntime, allowedHostPaths: [join(directory, 'allowed')] }),
    async (host) => {
      await pushBusybox(host, 'keeper', { Volumes: { '/data': {} } });
      const second = 1_000_000_000;
      const Healthcheck = { Test: ['CMD-SHELL', 'touch /checked'], Interval: second / 10, Timeout: second };
      await pushBusybox(host, 'checked', { Healthcheck });
    },
  );

  test('tmpfs, shared memory, sysctls, limits and capabilities hold inside', async () => {
    const lines = await suite.output(
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
    await expect(
      suite.failure(payloadOf({ app: script('true', { sysctls: { 'vm.swappiness': '1' } }) })),
    ).resolves.toContain('vm.swappiness is not a setting of the container alone');
  });

  test('an init process is number 1, hands signals on and reaps orphans', async () => {
    const taskId = suite.start(
      payloadOf({
        app: script(
          '(sleep 0.1 &) ; trap "echo told; exit 4" TERM; cat /proc/1/comm; echo up; while true; do sleep 0.05; done',
          {
            init: true,
          },
        ),
      }),
    );
    await suite.wrote(taskId, 'up');
    await suite.stop(taskId);
    expect((await suite.logOf(taskId))[0]).toBe('init');
    await expect(suite.logOf(taskId)).resolves.toContain('told');
    await expect(suite.host.event(isContainer(taskId, 'app', 'STOPPED'))).resolves.toMatchObject({ exitCode: 4 });
  });

  test('a terminal is one, and open standard input never ends', async () => {
    await expect(
      suite.output(payloadOf({ app: script('tty; test -t 1 && echo yes', { terminal: true }) })),
    ).resolves.toEqual(['/dev/pts/0\r', 'yes\r']);
    const open = suite.start(
      payloadOf({ app: script('echo up; cat; echo ended', { stdin: true, stopTimeoutSeconds: 0 }) }),
    );
    const closed = await suite.output(payloadOf({ app: script('cat; echo ended') }));
    expect(closed).toEqual(['ended']);
    await suite.wrote(open, 'up');
    await suite.stop(open);
    await expect(suite.logOf(open)).resolves.toEqual(['up']);
  });

  test('a restart policy runs the container again in the root it had, until a code that is to be left alone', async () => {
    const taskId = suite.start(
      payloadOf({
        app: script('echo run >> /runs; wc -l < /runs; test $(wc -l < /runs) -lt 3 && exit 1; exit 9', {
          restartPolicy: { ignoredExitCodes: [9], attemptPeriodSeconds: 0 },
        }),
      }),
    );
    await expect(suite.host.event(isContainer(taskId, 'app', 'STOPPED'))).resolves.toMatchObject({ exitCode: 9 });
    await suite.host.event(isStopped(taskId));
    await expect(suite.logOf(taskId)).resolves.toEqual(['1', '2', '3']);
    const ofTask = suite.host.events.filter(
      (event: AgentEvent) => event.taskId === taskId && event.type === 'container',
    );
    expect(new Set(ofTask.map((event) => event.type === 'container' && event.status)).size).toBe(3);
    expect(ofTask.filter((event) => event.type === 'container' && event.status === 'STOPPED')).toHaveLength(1);
  });

  test('the metadata of a container with a restart policy count its restarts', async () => {
    const count = 'wget -q -O - $ECS_CONTAINER_METADATA_URI_V4 | grep -o "RestartCount.:[0-9]*"';
    const taskId = suite.start(
      payloadOf(
        {
          app: script(`${count}; echo run >> /runs; test $(wc -l < /runs) -lt 3 && exit 1; exit 9`, {
            restartPolicy: { ignoredExitCodes: [9], attemptPeriodSeconds: 0 },
          }),
        },
        { networkMode: 'bridge' },
      ),
    );
    await suite.host.event(isStopped(taskId));
    await expect(suite.logOf(taskId)).resolves.toEqual(['RestartCount":0', 'RestartCount":1', 'RestartCount":2']);
  });

  test('a health check that stands in the image alone is not run', async () => {
    const payload = payloadOf({ app: script('sleep 1; test -e /checked || echo unchecked', { image: 'checked:1' }) });
    await expect(suite.output(payload)).resolves.toEqual(['unchecked']);
    const told = suite.host.events.filter((event) => event.taskId === payload.taskId && event.type === 'health');
    expect(told).toEqual([]);
  });

  test('a container that ends before the attempt period is over is not restarted', async () => {
    await expect(
      suite.output(
        payloadOf({ app: script('echo once', { restartPolicy: { ignoredExitCodes: [], attemptPeriodSeconds: 60 } }) }),
      ),
    ).resolves.toEqual(['once']);
  });

  test('a container that is restarted over and over stops when its task does', async () => {
    const taskId = suite.start(
      payloadOf({
        app: script('echo run', {
          restartPolicy: { ignoredExitCodes: [], attemptPeriodSeconds: 0 },
          stopTimeoutSeconds: 1,
        }),
      }),
    );
    await suite.host.event(isContainer(taskId, 'app', 'RUNNING'));
    await suite.stop(taskId);
    expect((await hostResidue(suite.host.scope)).filter((line) => line.includes(taskId))).toEqual([]);
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
    await expect(suite.output(payload)).resolves.toEqual(['from the image', 'written', '1', '1000:700']);
    await expect(readdir(join(suite.host.scope.directory, 'tasks', payload.taskId))).rejects.toThrow('ENOENT');
  });

  test('a shared volume outlives its task and is the same for the next one of the cluster', async () => {
    const volumes = [{ name: 'keep', scope: 'shared' as const }];
    const mountPoints = [{ volume: 'keep', path: '/keep', readonly: false }];
    const next = (more: Partial<TaskPayload> = {}): Promise<string[]> =>
      suite.output(
        payloadOf({ app: script('echo run >> /keep/runs; wc -l < /keep/runs', { mountPoints }) }, { volumes, ...more }),
      );
    await expect(next()).resolves.toEqual(['1']);
    await expect(next()).resolves.toEqual(['2']);
    await expect(next({ clusterName: 'other' })).resolves.toEqual(['1']);
  });

  test('a path that the image declares is a volume of its own, and volumesFrom hands it on', async () => {
    const lines = await suite.output(
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
    await mkdir(join(suite.directory, 'allowed', 'in'), { recursive: true });
    await writeFile(join(suite.directory, 'allowed', 'in', 'file'), 'of the host\n');
    await symlink('/etc', join(suite.directory, 'allowed', 'out'));
    const task = (hostPath: string): TaskPayload =>
      payloadOf(
        { app: script('cat /mnt/file', { mountPoints: [{ volume: 'host', path: '/mnt', readonly: true }] }) },
        { volumes: [{ name: 'host', scope: 'task', hostPath }] },
      );
    await expect(suite.output(task(join(suite.directory, 'allowed', 'in')))).resolves.toEqual(['of the host']);
    for (const path of ['/etc', join(suite.directory, 'allowed', 'out'), join(suite.directory, 'allowed', '..')]) {
      await expect(suite.failure(task(path))).resolves.toContain(
        'is not among the folders of the host that tasks may mount',
      );
    }
  });

  test('a mount point behind a link of the image stays inside the container', async () => {
    const lines = await suite
      .output(
        payloadOf(
          {
            app: script('ls /out/seed', {
              mountPoints: [{ volume: 'v', path: '/out', readonly: false }],
              volumesFrom: [],
            }),
          },
          { volumes: [{ name: 'v', scope: 'task' }] },
        ),
      )
      .catch(() => ['none']);
    expect(lines).toEqual(['ls: /out/seed: No such file or directory']);
  });
});
