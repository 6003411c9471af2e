/** Secrets of task definitions: inside the container, and nowhere else that is kept or told. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parseSecretReference } from '../../lib/engine/agent/index.js';
import { storedSecretKey, storedSecrets } from '../../lib/engine/agent/secret-source-stored.js';
import { isContainer, isStopped, payloadOf, script } from './agent-host.js';
import { AgentSuite, describeAgent } from './agent-suite.js';

const CANARY = 'canary-7f3a9e';
const MANAGER = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:';
const PARAMETER = 'arn:aws:ssm:eu-central-1:123456789012:parameter';
const values = new Map([
  [storedSecretKey({ service: 'secretsmanager', name: 'db' }), JSON.stringify({ password: CANARY, port: 5432 })],
  [storedSecretKey({ service: 'ssm', name: '/app/key' }), `${CANARY}-parameter`],
]);
const secrets = storedSecrets({ get: async (name) => values.get(name) });

describe('what valueFrom names', () => {
  test.each([
    [`${MANAGER}db-AbCdEf`, { service: 'secretsmanager', name: 'db-AbCdEf' }],
    [`${MANAGER}a/b:password::`, { service: 'secretsmanager', name: 'a/b', jsonKey: 'password' }],
    [`${MANAGER}db:key:AWSCURRENT:`, { service: 'secretsmanager', name: 'db', jsonKey: 'key' }],
    [`${PARAMETER}/app/key`, { service: 'ssm', name: '/app/key' }],
    [`${PARAMETER}/plain`, { service: 'ssm', name: 'plain' }],
    ['plain', { service: 'ssm', name: 'plain' }],
    ['/app/key', { service: 'ssm', name: '/app/key' }],
  ])('%s', (text, reference) => expect(parseSecretReference(text)).toEqual(reference));

  test.each([`${MANAGER}db:key:AWSPREVIOUS:`, `${MANAGER}db:::id`, 'arn:aws:s3:::bucket/key', 'two words', ''])(
    'refuses %j',
    (text) => expect(parseSecretReference(text)).toHaveProperty('problem'),
  );
});

describeAgent('secrets of a task', () => {
  const suite = new AgentSuite(() => ({ secrets }));

  test('are in the environment, by name, ARN and JSON key, and in no record, log or event', async () => {
    const payload = payloadOf({
      app: script(`test "$A" = ${CANARY} && test "$B" = ${CANARY}-parameter && test "$C" = 5432 && echo all there`, {
        environment: ['A=plain'],
        secrets: [
          { name: 'A', valueFrom: `${MANAGER}db-AbCdEf:password::` },
          { name: 'B', valueFrom: '/app/key' },
          { name: 'C', valueFrom: `${MANAGER}db:port::` },
        ],
        command: ['/bin/sh', '-c', 'echo ${#A} ${#B} $C; sleep 1000'],
        stopTimeoutSeconds: 0,
      }),
    });
    suite.host.agent.run(payload);
    const { taskId } = payload;
    await suite.host.event(isContainer(taskId, 'app', 'RUNNING'));
    for await (const line of suite.host.agent.logs(taskId, 'app', { follow: true }) ?? []) {
      expect(line.text).toBe(`${CANARY.length} ${`${CANARY}-parameter`.length} 5432`);
      break;
    }
    // While it runs, only the bundle that the runtime reads holds them, in memory (decision 130).
    expect(await filesWith(CANARY, suite.directory)).toEqual([]);
    suite.host.agent.stop(taskId, { stopCode: 'UserInitiated', reason: 'enough' });
    await suite.host.event(isStopped(taskId));
    expect(await filesWith(CANARY, suite.directory)).toEqual([]);
    expect(JSON.stringify(suite.host.events)).not.toContain(CANARY);
  });

  test.each([
    [`${MANAGER}absent`, 'there is no such secret'],
    [`${MANAGER}db:user::`, 'no JSON object with the key user'],
    ['/app/other', 'there is no such secret'],
    [`${MANAGER}db:key:AWSPREVIOUS:`, 'only the current version'],
  ])('a task whose secret %s cannot be had does not start, and says so', async (valueFrom, words) => {
    const payload = payloadOf({ app: script('true', { secrets: [{ name: 'A', valueFrom }] }) });
    suite.host.agent.run(payload);
    const stopped = await suite.host.event(isStopped(payload.taskId));
    expect(stopped.stopCode).toBe('TaskFailedToStart');
    expect(stopped.reason).toMatch(/^ResourceInitializationError: unable to pull secrets: /);
    expect(stopped.reason).toContain(words);
    expect(stopped.reason).not.toContain(CANARY);
  });
});

/** Regular files below the folder that hold the text. */
async function filesWith(text: string, directory: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || path.includes('/rootfs/') || path.includes('/layers/')) continue;
    if ((await readFile(path)).includes(text)) found.push(path);
  }
  return found;
}
