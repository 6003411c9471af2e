/**
 * A container is set up while its network is being made: whichever of the two fails while the other is at work, the task
 * ends with that reason, nothing of it is left, and the next one runs.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, test } from '@jest/globals';
import type { TaskPayload } from '../../lib/engine/agent/index.js';
import { bridgeName, hostResidue } from '../../lib/runtime/index.js';
import { type ContainerInput, isContainer, isStopped, payloadOf, script } from './agent-host.js';
import { AgentSuite, describeRuntimes } from './agent-suite.js';

const PLUGIN = ['/usr/lib/cni/portmap', '/opt/cni/bin/portmap'].find((path) => existsSync(path)) ?? '';
/** How a plugin tells that it cannot do what is asked. */
const REFUSE = `{ echo '{"cniVersion":"0.4.0","code":99,"msg":"no ports today"}'; exit 1; }`;

describeRuntimes(
  'when half of a start fails, the task tells why, leaves nothing, and the next one runs',
  (ociRuntime) => {
    const pluginOf = (directory: string): string => join(directory, 'cni', 'portmap');
    const suite = new AgentSuite((directory) => {
      mkdirSync(join(directory, 'cni'), { recursive: true });
      copyFileSync(PLUGIN, pluginOf(directory));
      return { ociRuntime, pluginFolders: [join(directory, 'cni')] };
    });

    const ip = (...args: readonly string[]): void => void execFileSync('ip', args);
    /** Does the work while something comes about as soon as a container may be set up in its network. */
    const meanwhile = async <T>(what: (netns: string) => void, work: () => Promise<T>): Promise<T> => {
      const { network } = suite.host;
      const attach = network.attach.bind(network);
      network.attach = (id, options) => {
        const joinable: NonNullable<typeof options>['joinable'] = (attachment) => {
          options?.joinable?.(attachment);
          what(basename(attachment.netnsPath));
        };
        return attach(id, { ...options, joinable });
      };
      return work().finally(() => (network.attach = attach));
    };
    /** Does the work while the plugin is a script with this beginning; what it lets pass is done by the one of the host. */
    const withPlugin = async <T>(beginning: string, work: () => Promise<T>): Promise<T> => {
      const path = pluginOf(suite.directory);
      writeFileSync(path, `#!/bin/sh\n${beginning}\nexec ${PLUGIN}\n`);
      return work().finally(() => copyFileSync(PLUGIN, path));
    };

    const task = (container: ContainerInput, networkMode: TaskPayload['networkMode'] = 'bridge'): TaskPayload =>
      payloadOf(
        { app: { portMappings: [{ containerPort: 80, protocol: 'tcp' }], stopTimeoutSeconds: 0, ...container } },
        { networkMode },
      );
    const server = script('httpd -p 80 -h /www; echo up; sleep 1000');
    const left = async (): Promise<readonly string[]> =>
      (await hostResidue(suite.host.scope)).filter((line) => /[0-9a-f]{32}/.test(line));

    const whyNot = async (payload: TaskPayload): Promise<string | undefined> => {
      const taskId = suite.start(payload);
      const ending = await suite.host.event(isStopped(taskId));
      expect(ending).toMatchObject({ stopCode: 'TaskFailedToStart', reason: 'Task failed to start' });
      expect(suite.host.events.some(isContainer(taskId, 'app', 'RUNNING'))).toBe(false);
      return (await suite.host.event(isContainer(taskId, 'app', 'STOPPED'))).reason;
    };
    const runs = async (payload: TaskPayload): Promise<void> => {
      const taskId = suite.start(payload);
      const { networkBindings = [] } = await suite.host.event(isContainer(taskId, 'app', 'RUNNING'));
      await suite.wrote(taskId, 'up');
      const answer = await fetch(`http://127.0.0.1:${String(networkBindings[0]?.hostPort)}/`);
      expect(await answer.text()).toBe('hello from a task\n');
      await suite.stop(taskId);
      expect(await left()).toEqual([]);
    };

    test.each([
      ['its interface is taken away', (netns: string) => ip('-n', netns, 'link', 'delete', 'eth0'), /find device/],
      ['its namespace is taken away', (netns: string) => ip('netns', 'delete', netns), /namespace/],
    ])('%s while the container is set up', async (_, what, words) => {
      for (const networkMode of ['bridge', 'awsvpc'] as const) {
        const reason = await meanwhile(what, () => whyNot(task(server, networkMode)));
        expect(reason).toMatch(/^CannotStartContainerError: container \S+ got no network: /);
        expect(reason).toMatch(words);
        expect(await left()).toEqual([]);
      }
      await runs(task(server));
    });

    test('its ports cannot be published', async () => {
      const reason = await withPlugin(`test $CNI_COMMAND = DEL || ${REFUSE}`, () => whyNot(task(server)));
      expect(reason).toBe('CannotStartContainerError: network plugin portmap ADD: no ports today');
      expect(await left()).toEqual([]);
      await runs(task(server));
    });

    test('its ports can be neither published nor taken back', async () => {
      const reason = await withPlugin(REFUSE, () => whyNot(task(server)));
      expect(reason).toBe('CannotStartContainerError: network plugin portmap ADD: no ports today');
      expect(await left()).toEqual([]);
      await runs(task(server));
    });

    test('the container cannot be set up while the network is being made', async () => {
      const reason = await withPlugin('sleep 0.5', () => whyNot(task({ command: ['/bin/nope'] })));
      expect(reason).toMatch(/^CannotStartContainerError: .*\/bin\/nope/);
      expect(await left()).toEqual([]);
      await runs(task(server));
    });

    test('the bridge was taken away: it is made again', async () => {
      await runs(task(server));
      ip('link', 'delete', bridgeName(suite.host.scope));
      await runs(task(server));
    });
  },
);
