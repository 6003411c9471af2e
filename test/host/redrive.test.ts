/** Dead letters of builds, dealt with as the runbook says: its own commands, by the AWS CLI, against the fake of SQS. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { ReceiveMessageCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { writeTar } from '../../lib/layers/index.js';
import { membersOf } from '../build/fixture.js';
import { requireTools } from '../host-tools.js';
import { fakeCredentials } from '../fakes/s3/index.js';
import { type ImageResourceLab, openImageResourceLab } from './image-resource-lab.js';

requireTools('aws').describe('a build among the dead letters', () => {
  let lab: ImageResourceLab;
  beforeAll(async () => {
    lab = await openImageResourceLab();
  });
  afterAll(() => lab.close());

  /** The command of the runbook that begins so, with the names of the lab. */
  async function runbook(begin: string): Promise<{ readonly Messages?: readonly { readonly Body: string }[] }> {
    const text = readFileSync('docs/aws/runbooks.md', 'utf8');
    const [, command = ''] = new RegExp(`\`aws (sqs ${begin}[^\`]*)\``).exec(text) ?? [];
    const { endpoint, url, deadLetterArn } = lab.queues;
    const names: Readonly<Record<string, string>> = {
      '<dead letters>': url.replace(/builds$/, 'dead'),
      '<arn of the dead letters>': deadLetterArn,
      // Whoever looks and moves at once would wait that long.
      '--visibility-timeout 30': '--visibility-timeout 0',
      '<arn of the queue>': deadLetterArn.replace(/dead$/, 'builds'),
    };
    const words = Object.entries(names).reduce((left, [name, value]) => left.replaceAll(name, value), command);
    const env = {
      ...process.env,
      AWS_ACCESS_KEY_ID: fakeCredentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: fakeCredentials.secretAccessKey,
      AWS_DEFAULT_REGION: 'us-east-1',
    };
    const args = [...words.split(/\s+/), '--endpoint-url', endpoint, '--output', 'json'];
    const { stdout } = await promisify(execFile)('aws', args, { env });
    return JSON.parse(stdout === '' ? '{}' : stdout) as { Messages?: { Body: string }[] };
  }

  async function submitted(tag: string): Promise<string> {
    const files = membersOf({ Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
    const { digest: context } = await lab.content.put(writeTar(files));
    return (await lab.builds.submit({ context, tags: [tag] })).id;
  }

  /** Six functions take the message and die at once; the seventh finds it gone. */
  async function giveUp(): Promise<void> {
    const { client, url } = lab.queues;
    for (let delivery = 1; delivery <= 7; delivery += 1) {
      const { Messages = [] } = await client.send(new ReceiveMessageCommand({ QueueUrl: url, VisibilityTimeout: 0 }));
      expect(Messages).toHaveLength(delivery <= 6 ? 1 : 0);
    }
  }

  test('is named by its message, and done once the message is moved back', async () => {
    const id = await submitted('team/dead:1');
    await giveUp();
    expect(await lab.build()).toBe(0);
    const { Messages: [message] = [] } = await runbook('receive-message');
    expect(message?.Body).toContain(id);
    await runbook('start-message-move-task');
    expect(await lab.build()).toBe(1);
    expect((await lab.builds.get(id))?.status).toBe('succeeded');
  }, 60_000);

  test('that has ended meanwhile is recognised, and one that EventBridge put there is moved, too', async () => {
    const id = await submitted('team/ended:1');
    await lab.build();
    const ended = await lab.builds.get(id);
    const { client, url } = lab.queues;
    const QueueUrl = url.replace(/builds$/, 'dead');
    await client.send(new SendMessageCommand({ QueueUrl, MessageBody: JSON.stringify({ build: id }) }));
    await runbook('start-message-move-task');
    expect(await lab.build()).toBe(1);
    expect(await lab.builds.get(id)).toEqual(ended);
    expect(await lab.build()).toBe(0);
  }, 60_000);
});
