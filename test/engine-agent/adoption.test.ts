/** What becomes of tasks when the process that runs them is killed and started again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { AgentEvent, TaskPayload } from '../../lib/engine/agent/index.js';
import { hostResidue, openHostScope, sweepHost } from '../../lib/runtime/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { requireTools } from '../host-tools.js';
import { type AgentHost, isContainer, isStopped, openAgentHost, payloadOf, pushBusybox, script } from './agent-host.js';

requireTools('root', 'runc', 'conmon', 'ip', 'iptables', 'bridge', 'busybox').describe(
  'after kill -9 the agent',
  () => {
    let directory: string;
    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'wharf-adopt-'));
      const host = await openAgentHost(directory);
      await pushBusybox(host, 'busybox');
      await host.close();
    });
    afterAll(async () => {
      const scope = await openHostScope(join(directory, 'runtime'));
      try {
        await sweepHost({ scope, clock: systemClock }, new Set());
        expect(await hostResidue(scope)).toEqual([]);
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    });

    /** Runs the task in a process of its own, and kills that with SIGKILL at the first event that fits. */
    const runAndKill = async (payload: TaskPayload, at: (event: AgentEvent) => boolean): Promise<void> => {
      const child: ChildProcess = spawn(
        process.execPath,
        ['--import', 'tsx', join('test', 'engine-agent', 'run-and-hang.ts')],
        {
          env: { ...process.env, NODE_OPTIONS: '', WHARF_DIRECTORY: directory, WHARF_PAYLOAD: JSON.stringify(payload) },
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      );
      const ended = new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)));
      const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
      for await (const line of lines) if (at(JSON.parse(line) as AgentEvent)) break;
      child.kill('SIGKILL');
      expect(await ended).toBe('SIGKILL');
    };

    const withHost = async (work: (host: AgentHost) => Promise<void>): Promise<void> => {
      const host = await openAgentHost(directory);
      try {
        await work(host);
      } finally {
        await host.close();
      }
    };
    const logOf = async (host: AgentHost, taskId: string): Promise<string[]> => {
      const lines: string[] = [];
      for await (const line of host.agent.logs(taskId, 'app', { follow: true }) ?? []) lines.push(line.text);
      return lines;
    };

    test('goes on restarting what is to be restarted, in the same root, volume and shared network', async () => {
      const payload = payloadOf(
        {
          app: script('echo x >> /v/runs; echo x >> /runs; echo $(wc -l < /v/runs) $(wc -l < /runs); sleep 0.05', {
            restartPolicy: { ignoredExitCodes: [], attemptPeriodSeconds: 0 },
            mountPoints: [{ volume: 'v', path: '/v', readonly: false }],
            stopTimeoutSeconds: 1,
          }),
        },
        { networkMode: 'awsvpc', volumes: [{ name: 'v', scope: 'task' }] },
      );
      const { taskId } = payload;
      await runAndKill(payload, isContainer(taskId, 'app', 'RUNNING'));
      await withHost(async (host) => {
        host.agent.run(payload);
        const { address } = await host.event(isContainer(taskId, 'app', 'RUNNING'));
        expect(address).toMatch(/^10\./);
        for await (const line of host.agent.logs(taskId, 'app', { follow: true }) ?? []) if (line.text === '5 5') break;
        host.agent.stop(taskId, { stopCode: 'UserInitiated', reason: 'enough' });
        await host.event(isStopped(taskId));
        const lines = await logOf(host, taskId);
        expect(lines).toEqual(lines.map((_, i) => `${i + 1} ${i + 1}`));
        expect((await hostResidue(host.scope)).filter((line) => line.includes(taskId))).toEqual([]);
      });
    });

    test('takes over what runs, with its address, port and log, and can stop it', async () => {
      const payload = payloadOf(
        {
          app: script(
            'echo start; httpd -p 80 -h /www; trap "echo bye; exit 6" TERM; while true; do sleep 0.05; done',
            {
              portMappings: [{ containerPort: 80, protocol: 'tcp' }],
            },
          ),
        },
        { networkMode: 'bridge' },
      );
      await runAndKill(payload, (event) => event.type === 'container' && event.status === 'RUNNING');
      await withHost(async (host) => {
        host.agent.run(payload);
        await host.agent.sweep(new Set([payload.taskId]));
        const running = await host.event(isContainer(payload.taskId, 'app', 'RUNNING'));
        expect(running.address).toMatch(/^10\./);
        expect(host.events.some((event) => event.type === 'pull-started')).toBe(false);
        const [binding] = running.networkBindings ?? [];
        const response = await fetch(`http://127.0.0.1:${binding?.hostPort}/`);
        await expect(response.text()).resolves.toBe('hello from a task\n');
        host.agent.stop(payload.taskId, { stopCode: 'UserInitiated', reason: 'test' });
        await host.event(isStopped(payload.taskId));
        await expect(host.event(isContainer(payload.taskId, 'app', 'STOPPED'))).resolves.toMatchObject({ exitCode: 6 });
        await expect(logOf(host, payload.taskId)).resolves.toEqual(['start', 'bye']);
      });
    });

    test('learns how a container ended that ended meanwhile', async () => {
      const payload = payloadOf({ app: script('echo start; while ! test -e /tmp/go; do sleep 0.05; done; exit 8') });
      await runAndKill(payload, (event) => event.type === 'container' && event.status === 'RUNNING');
      await withHost(async (host) => {
        const id = (await host.containers.list())[0] ?? '';
        await host.containers.exec(id, ['/bin/touch', '/tmp/go'], { timeoutMs: 5000 });
        await host.containers.waitExit(id);
        host.agent.run(payload);
        await expect(host.event(isStopped(payload.taskId))).resolves.toMatchObject({
          stopCode: 'EssentialContainerExited',
        });
        await expect(host.event(isContainer(payload.taskId, 'app', 'STOPPED'))).resolves.toMatchObject({ exitCode: 8 });
        // Once only: a second process would have written a second line.
        await expect(logOf(host, payload.taskId)).resolves.toEqual(['start']);
      });
    });

    test('starts a container that was being made, once', async () => {
      const payload = payloadOf({ app: script('echo once; exit 0') });
      await runAndKill(payload, (event) => event.type === 'container' && event.status === 'PENDING');
      await withHost(async (host) => {
        host.agent.run(payload);
        await host.event(isStopped(payload.taskId));
        await expect(logOf(host, payload.taskId)).resolves.toEqual(['once']);
      });
    });

    test('begins anew when only the image had been looked for', async () => {
      const payload = payloadOf({ app: script('echo once; exit 0') });
      await runAndKill(payload, (event) => event.type === 'pull-started');
      await withHost(async (host) => {
        host.agent.run(payload);
        await host.event(isStopped(payload.taskId));
        await expect(logOf(host, payload.taskId)).resolves.toEqual(['once']);
      });
    });

    test('tells a finished task’s end again, and runs nothing', async () => {
      const payload = payloadOf({ app: script('echo once; exit 7') });
      await runAndKill(payload, (event) => event.type === 'task-stopped');
      await withHost(async (host) => {
        host.agent.run(payload);
        await expect(host.event(isStopped(payload.taskId))).resolves.toMatchObject({
          stopCode: 'EssentialContainerExited',
        });
        await expect(host.event(isContainer(payload.taskId, 'app', 'STOPPED'))).resolves.toMatchObject({ exitCode: 7 });
        expect(host.events.some((event) => event.type === 'container' && event.status === 'RUNNING')).toBe(false);
        await expect(logOf(host, payload.taskId)).resolves.toEqual(['once']);
      });
    });

    test('sweeps what belongs to no known task, and in time its log', async () => {
      const payload = payloadOf({ app: script('echo stray; sleep 1000') }, { networkMode: 'bridge' });
      await runAndKill(payload, (event) => event.type === 'container' && event.status === 'RUNNING');
      await withHost(async (host) => {
        await host.agent.sweep(new Set());
        expect((await hostResidue(host.scope)).filter((line) => line.includes(payload.taskId))).toEqual([]);
        await expect(logOf(host, payload.taskId)).resolves.toEqual(['stray']);
      });
      const later = await openAgentHost(directory, { keepLogsMs: -1 });
      try {
        await later.agent.sweep(new Set());
        expect(later.agent.logs(payload.taskId, 'app', {})).toBeUndefined();
      } finally {
        await later.close();
      }
    });
  },
);
