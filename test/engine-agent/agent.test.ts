import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import type { AgentEvent, TaskPayload } from '../../lib/engine/agent/index.js';
import { hostResidue } from '../../lib/runtime/index.js';
import { isContainer, isStopped, payloadOf, pushBusybox, script } from './agent-host.js';
import { AgentSuite, describeRuntimes } from './agent-suite.js';

describeRuntimes('the agent', (ociRuntime) => {
  const suite = new AgentSuite(
    () => ({ ociRuntime }),
    async (host) => {
      await pushBusybox(host, 'busybox', { WorkingDir: '/tmp', User: 'app' });
      await pushBusybox(host, 'quitter', {
        StopSignal: 'SIGQUIT',
        Entrypoint: ['/bin/sh', '-c'],
        Cmd: ['echo from image'],
      });
    },
  );

  const run = (payload: TaskPayload): string => {
    suite.host.agent.run(payload);
    return payload.taskId;
  };
  const logOf = async (taskId: string, name: string): Promise<string[]> => {
    const lines: string[] = [];
    for await (const line of suite.host.agent.logs(taskId, name, { follow: true }) ?? []) lines.push(line.text);
    return lines;
  };
  /** Resolves when the container has written the line. */
  const wrote = async (taskId: string, name: string, text: string): Promise<void> => {
    for await (const line of suite.host.agent.logs(taskId, name, { follow: true }) ?? [])
      if (line.text === text) return;
    throw new Error(`${name} ended and never wrote ${text}`);
  };
  const kinds = (taskId: string): string[] =>
    suite.host.events
      .filter((event) => event.taskId === taskId)
      .map((event: AgentEvent) => (event.type === 'container' ? `${event.container} ${event.status}` : event.type));
  const stop = (taskId: string, drain?: () => Promise<void>): void =>
    suite.host.agent.stop(taskId, { stopCode: 'UserInitiated', reason: 'enough' }, drain);

  test('runs a task to its end, tells each step once, and keeps the log', async () => {
    const taskId = run(
      payloadOf({ app: script('echo $FROM_IMAGE $OWN; id -un; pwd; exit 3', { environment: ['OWN=set'] }) }),
    );
    await expect(suite.host.event(isStopped(taskId))).resolves.toMatchObject({
      stopCode: 'EssentialContainerExited',
      reason: 'Essential container in task exited',
    });
    expect(kinds(taskId)).toEqual([
      'pull-started',
      'pull-stopped',
      'app PENDING',
      'app RUNNING',
      'app STOPPED',
      'task-stopped',
    ]);
    const stopped = await suite.host.event(isContainer(taskId, 'app', 'STOPPED'));
    expect(stopped).toMatchObject({ exitCode: 3, imageDigest: expect.stringMatching(/^sha256:/) });
    expect(stopped.reason).toBeUndefined();
    await expect(logOf(taskId, 'app')).resolves.toEqual(['yes set', 'app', '/tmp']);
    await expect(access(join(suite.host.scope.directory, 'tasks', taskId))).rejects.toThrow('ENOENT');
    expect((await hostResidue(suite.host.scope)).filter((line) => line.includes(taskId))).toEqual([]);
    expect(suite.host.agent.logs(taskId, 'other', {})).toBeUndefined();
    expect(suite.host.agent.logs('f'.repeat(32), 'app', {})).toBeUndefined();
  });

  test('an entry point of the definition takes the image’s command away', async () => {
    const own = run(payloadOf({ app: { image: 'quitter:1', entryPoint: ['/bin/echo', 'only this'] } }));
    const theirs = run(payloadOf({ app: { image: 'quitter:1' } }));
    await expect(logOf(own, 'app')).resolves.toEqual(['only this']);
    await expect(logOf(theirs, 'app')).resolves.toEqual(['from image']);
  });

  test('publishes a port of its choice, which answers', async () => {
    const taskId = run(
      payloadOf(
        {
          web: script('httpd -p 80 -h /www; echo serving; sleep 1000', {
            portMappings: [{ containerPort: 80, protocol: 'tcp' }],
            stopTimeoutSeconds: 0,
          }),
        },
        { networkMode: 'bridge' },
      ),
    );
    const running = await suite.host.event(isContainer(taskId, 'web', 'RUNNING'));
    await wrote(taskId, 'web', 'serving');
    const [binding] = running.networkBindings ?? [];
    expect(binding).toMatchObject({ bindIP: '127.0.0.1', containerPort: 80, protocol: 'tcp' });
    expect(binding?.hostPort).toBeGreaterThanOrEqual(32768);
    const response = await fetch(`http://127.0.0.1:${binding?.hostPort}/`);
    await expect(response.text()).resolves.toBe('hello from a task\n');

    const rival = run(
      payloadOf(
        {
          web: script('true', {
            portMappings: [{ containerPort: 80, hostPort: binding?.hostPort ?? 0, protocol: 'tcp' }],
          }),
        },
        { networkMode: 'bridge' },
      ),
    );
    await expect(suite.host.event(isContainer(rival, 'web', 'STOPPED'))).resolves.toMatchObject({
      reason: `CannotStartContainerError: Bind for 127.0.0.1:${binding?.hostPort} failed: port is already allocated`,
    });
    stop(taskId);
    await suite.host.event(isStopped(taskId));
  });

  test.each([
    ['absent:1', 'CannotPullContainerError: manifest for absent:1 not found: manifest unknown'],
    ['busybox:nope', 'CannotPullContainerError: manifest for busybox:nope not found: manifest unknown'],
    [
      'registry.example/busybox:1',
      'CannotPullContainerError: registry.example/busybox:1 lies in the registry registry.example',
    ],
    ['UPPER:1:2', 'CannotPullContainerError: image reference "UPPER:1:2"'],
  ])('says why the image %s cannot be had', async (image, reason) => {
    const taskId = run(payloadOf({ app: { image } }));
    const stopped = await suite.host.event(isStopped(taskId));
    expect(stopped.stopCode).toBe('TaskFailedToStart');
    expect(stopped.reason).toContain(reason);
    expect((await suite.host.event(isContainer(taskId, 'app', 'STOPPED'))).reason).toContain(reason);
  });

  test.each([
    [
      { command: ['/bin/nope'] },
      ociRuntime === 'runc'
        ? 'CannotStartContainerError: exec: "/bin/nope": stat /bin/nope: no such file or directory'
        : 'CannotStartContainerError: executable file `/bin/nope` not found in $PATH: No such file or directory',
    ],
    [{ command: ['/bin/true'], user: 'ghost' }, 'CannotStartContainerError: user "ghost" has no entry'],
    [{ image: 'busybox:1' }, 'CannotStartContainerError: no command was given and the image has none'],
    [
      { command: ['/bin/true'], capabilities: { add: ['FLY'] } },
      'CannotStartContainerError: "FLY" is not a Linux capability',
    ],
  ])('says why a container cannot start: %j', async (input, reason) => {
    const taskId = run(payloadOf({ app: input }));
    await expect(suite.host.event(isStopped(taskId))).resolves.toMatchObject({
      stopCode: 'TaskFailedToStart',
      reason: 'Task failed to start',
    });
    const stopped = await suite.host.event(isContainer(taskId, 'app', 'STOPPED'));
    expect(stopped.reason).toContain(reason);
    expect(stopped.exitCode).toBeUndefined();
  });

  test('names memory as the reason when the kernel killed for it', async () => {
    const taskId = run(
      payloadOf({ app: script('dd if=/dev/zero of=/dev/null bs=200M count=1', { memoryBytes: 32 << 20 }) }),
    );
    await expect(suite.host.event(isContainer(taskId, 'app', 'STOPPED'))).resolves.toMatchObject({
      exitCode: 137,
      reason: 'OutOfMemoryError: Container killed due to memory usage',
    });
  });

  test('starts containers in the order they depend on one another, and ends them in the reverse order', async () => {
    const wait = 'trap "exit 0" TERM; echo up; while true; do sleep 0.05; done';
    const taskId = run(
      payloadOf({
        app: script(wait, { dependsOn: [{ containerName: 'proxy', condition: 'START' }] }),
        proxy: script(wait, { dependsOn: [{ containerName: 'setup', condition: 'SUCCESS' }] }),
        setup: script('exit 0', { essential: false }),
      }),
    );
    await wrote(taskId, 'app', 'up');
    await wrote(taskId, 'proxy', 'up');
    stop(taskId);
    await expect(suite.host.event(isStopped(taskId))).resolves.toMatchObject({
      stopCode: 'UserInitiated',
      reason: 'enough',
    });
    const order = kinds(taskId).filter((kind) => /RUNNING|STOPPED/.test(kind));
    expect(order).toEqual([
      'setup RUNNING',
      'setup STOPPED',
      'proxy RUNNING',
      'app RUNNING',
      'app STOPPED',
      'proxy STOPPED',
    ]);
    await expect(suite.host.event(isContainer(taskId, 'app', 'STOPPED'))).resolves.toMatchObject({ exitCode: 0 });
  });

  test('never starts what waits for a failure, and says so', async () => {
    const taskId = run(
      payloadOf({
        app: script('true', { dependsOn: [{ containerName: 'setup', condition: 'SUCCESS' }] }),
        setup: script('exit 4', { essential: false }),
      }),
    );
    await expect(suite.host.event(isContainer(taskId, 'app', 'STOPPED'))).resolves.toMatchObject({
      reason: 'TaskDependencyError: app waits for setup to reach SUCCESS, but it exited with 4',
    });
    await expect(suite.host.event(isStopped(taskId))).resolves.toMatchObject({ stopCode: 'TaskFailedToStart' });
  });

  test('waits for health before it starts what needs it', async () => {
    const taskId = run(
      payloadOf({
        app: script('echo at last', { dependsOn: [{ containerName: 'db', condition: 'HEALTHY' }] }),
        db: script('touch /tmp/ready; sleep 1000', {
          essential: false,
          user: '0',
          stopTimeoutSeconds: 0,
          healthCheck: {
            command: ['CMD-SHELL', 'test -e /tmp/ready'],
            intervalSeconds: 0.1,
            timeoutSeconds: 5,
            retries: 3,
            startPeriodSeconds: 0,
          },
        }),
      }),
    );
    await expect(logOf(taskId, 'app')).resolves.toEqual(['at last']);
    expect(suite.host.events).toContainEqual(
      expect.objectContaining({ taskId, type: 'health', container: 'db', health: 'HEALTHY' }),
    );
    await suite.host.event(isStopped(taskId));
  });

  test('reports a container whose check fails as unhealthy and lets it run', async () => {
    const taskId = run(
      payloadOf({
        app: script('sleep 1000', {
          stopTimeoutSeconds: 0,
          healthCheck: {
            command: ['CMD', '/bin/false'],
            intervalSeconds: 0.05,
            timeoutSeconds: 5,
            retries: 2,
            startPeriodSeconds: 0,
          },
        }),
      }),
    );
    const unhealthy = (event: AgentEvent): event is Extract<AgentEvent, { type: 'health' }> =>
      event.taskId === taskId && event.type === 'health';
    await expect(suite.host.event(unhealthy)).resolves.toMatchObject({ health: 'UNHEALTHY' });
    expect(kinds(taskId)).not.toContain('app STOPPED');
    stop(taskId);
    await suite.host.event(isStopped(taskId));
  });

  test('drains, then sends the image’s own stop signal, then kills what does not listen', async () => {
    const order: string[] = [];
    const taskId = run(
      payloadOf({
        polite: script('trap "echo quit; exit 5" QUIT; echo up; while true; do sleep 0.05; done', {
          image: 'quitter:1',
          entryPoint: ['/bin/sh', '-c'],
          command: ['trap "echo quit; exit 5" QUIT; echo up; while true; do sleep 0.05; done'],
        }),
        deaf: script('trap "" TERM; echo up; while true; do sleep 0.05; done', { stopTimeoutSeconds: 1 }),
      }),
    );
    await wrote(taskId, 'polite', 'up');
    await wrote(taskId, 'deaf', 'up');
    stop(taskId, async () => {
      order.push(`drain with ${kinds(taskId).filter((kind) => kind.endsWith('STOPPED')).length} stopped`);
    });
    await suite.host.event(isStopped(taskId));
    expect(order).toEqual(['drain with 0 stopped']);
    await expect(suite.host.event(isContainer(taskId, 'polite', 'STOPPED'))).resolves.toMatchObject({ exitCode: 5 });
    await expect(suite.host.event(isContainer(taskId, 'deaf', 'STOPPED'))).resolves.toMatchObject({ exitCode: 137 });
  });

  test('stops a task that is only just beginning', async () => {
    const taskId = run(payloadOf({ app: script('sleep 1000', { stopTimeoutSeconds: 1 }) }));
    stop(taskId);
    await expect(suite.host.event(isStopped(taskId))).resolves.toMatchObject({ stopCode: 'UserInitiated' });
    expect(kinds(taskId)).not.toContain('app RUNNING');
  });

  test('refuses containers that wait for one another', async () => {
    const taskId = run(
      payloadOf({
        a: script('true', { dependsOn: [{ containerName: 'b', condition: 'START' }] }),
        b: script('true', { dependsOn: [{ containerName: 'a', condition: 'START' }] }),
      }),
    );
    await expect(suite.host.event(isContainer(taskId, 'a', 'STOPPED'))).resolves.toMatchObject({
      reason: 'TaskDependencyError: containers wait for one another: a -> b -> a',
    });
    await suite.host.event(isStopped(taskId));
  });

  test('gives up waiting after the start time-out', async () => {
    const taskId = run(
      payloadOf({
        app: script('true', { dependsOn: [{ containerName: 'slow', condition: 'COMPLETE' }] }),
        slow: script('sleep 1000', { essential: false, startTimeoutSeconds: 0.2, stopTimeoutSeconds: 0 }),
      }),
    );
    await expect(suite.host.event(isContainer(taskId, 'app', 'STOPPED'))).resolves.toMatchObject({
      reason: expect.stringContaining('slow did not reach COMPLETE within its start time-out of 0.2 s'),
    });
    await suite.host.event(isStopped(taskId));
  });
});
