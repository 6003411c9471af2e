/** An agent with its own folder for all tests of a suite, and what they do with it; checks that nothing of it is left. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from '@jest/globals';
import type { TaskPayload } from '../../lib/engine/agent/index.js';
import { hostResidue, OCI_RUNTIMES, type OciRuntime, sweepHost } from '../../lib/runtime/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { takeControllersFromV2 } from '../cgroup-controllers.js';
import { requireTools } from '../host-tools.js';
import {
  type AgentHost,
  type AgentHostOptions,
  isContainer,
  isStopped,
  openAgentHost,
  pushBusybox,
} from './agent-host.js';

const PROGRAMS = ['root', 'runc', 'conmon', 'ip', 'iptables', 'bridge', 'busybox'];

/** Describes the suite only where real containers run. */
export const describeAgent = requireTools(...PROGRAMS).describe;

/** Describes it once for each OCI runtime; the suite is opened with it. */
export function describeRuntimes(name: string, body: (ociRuntime: OciRuntime) => void): void {
  for (const ociRuntime of OCI_RUNTIMES) {
    requireTools(...PROGRAMS, ociRuntime).describe(`${name} (${ociRuntime})`, () => body(ociRuntime));
  }
}

export class AgentSuite {
  private opened: { readonly host: AgentHost; readonly directory: string } | undefined;

  /** Within a `describe`. @param fill pushes further images than busybox:1, starts what all tests need */
  constructor(
    private readonly options: (directory: string) => AgentHostOptions = () => ({}),
    fill: (host: AgentHost) => Promise<void> = async () => undefined,
  ) {
    let giveBack = (): Promise<void> => Promise.resolve();
    beforeAll(async () => {
      const directory = await mkdtemp(join(tmpdir(), 'wharf-agent-'));
      if (options(directory).ociRuntime === 'crun') giveBack = await takeControllersFromV2();
      const host = await openAgentHost(directory, options(directory));
      this.opened = { host, directory };
      await pushBusybox(host, 'busybox');
      await fill(host);
    });
    afterAll(async () => {
      const { host, directory } = this;
      await host.close();
      try {
        await sweepHost({ scope: host.scope, clock: systemClock }, new Set());
        expect(await hostResidue(host.scope)).toEqual([]);
      } finally {
        await rm(directory, { recursive: true, force: true });
        await giveBack();
      }
    });
  }

  get host(): AgentHost {
    if (this.opened === undefined) throw new Error('the agent is opened before the first test');
    return this.opened.host;
  }

  get directory(): string {
    if (this.opened === undefined) throw new Error('the folder is made before the first test');
    return this.opened.directory;
  }

  /** The agent goes away, without its containers, and another is there in its place. */
  async reopen(): Promise<void> {
    const { directory } = this;
    await this.host.close();
    this.opened = { host: await openAgentHost(directory, this.options(directory)), directory };
  }

  start(payload: TaskPayload): string {
    this.host.agent.run(payload);
    return payload.taskId;
  }

  /** All lines, once the container has ended. */
  async logOf(taskId: string, name = 'app'): Promise<string[]> {
    const lines: string[] = [];
    for await (const line of this.host.agent.logs(taskId, name, { follow: true }) ?? []) lines.push(line.text);
    return lines;
  }

  /** Resolves when `app` has written this line. */
  async wrote(taskId: string, text: string, name = 'app'): Promise<void> {
    for await (const line of this.host.agent.logs(taskId, name, { follow: true }) ?? []) {
      if (line.text === text) return;
    }
    throw new Error(`${name} ended and never wrote ${text}`);
  }

  async firstLine(taskId: string, name = 'app'): Promise<string> {
    for await (const line of this.host.agent.logs(taskId, name, { follow: true }) ?? []) return line.text;
    throw new Error(`${name} ended and never wrote a line`);
  }

  /** What the task's container `app` wrote, after the task has ended. */
  async output(payload: TaskPayload): Promise<string[]> {
    const taskId = this.start(payload);
    const stopped = await this.host.event(isContainer(taskId, 'app', 'STOPPED'));
    expect(stopped.reason).toBeUndefined();
    await this.host.event(isStopped(taskId));
    return this.logOf(taskId);
  }

  /** Why `app` did not run, after the task has ended. */
  async failure(payload: TaskPayload): Promise<string | undefined> {
    const taskId = this.start(payload);
    await this.host.event(isStopped(taskId));
    return (await this.host.event(isContainer(taskId, 'app', 'STOPPED'))).reason;
  }

  async stop(taskId: string): Promise<void> {
    this.host.agent.stop(taskId, { stopCode: 'UserInitiated', reason: 'enough' });
    await this.host.event(isStopped(taskId));
  }
}
