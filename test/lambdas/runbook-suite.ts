/**
 * The runbooks against what the functions do: the states that they describe are brought about, alarms go off by them, and
 * lines and metrics have the names under which the runbooks, the alarms and the dashboard look for them. After the other
 * suites, whose lines are looked at.
 */
import { readFileSync } from 'node:fs';
import { GetQueueAttributesCommand, ReceiveMessageCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { dynamoDbClient, DynamoDbRecordStore } from '../../lib/store/aws/record-store-dynamodb.js';
import { SCHEMA_VERSION } from '../../lib/store/schema.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { systemIds } from '../../lib/store/system/ids-system.js';
import { REGION } from '../fakes/account/template.js';
import { EventSource, type SqsEvent } from '../fakes/lambda/event-source.js';
import type { LambdaFunction } from '../fakes/lambda/function.js';
import { eventOf } from '../fakes/lambda/gateway.js';
import { fakeCredentials } from '../fakes/s3/index.js';
import { buildImage, clientOf, submit } from './builds.js';
import { type Cloud, FUNCTIONS, type FunctionName } from './cloud.js';
import { type Watched, type WatchedMetric, watched } from './watched.js';

const RUNBOOKS = readFileSync('docs/aws/runbooks.md', 'utf8');
type Line = Readonly<Record<string, unknown>>;

function linesOf(fn: Pick<LambdaFunction, 'lines'>): readonly Line[] {
  return fn.lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Line);
}

/** Those of metrics that one invocation leaves. */
const isOfInvocation = (line: Line): boolean => 'ColdStarts' in line;

export function runbookSuite(cloud: () => Cloud): void {
  let seen: Watched;
  beforeAll(() => {
    seen = watched();
  });
  const alarm = (id: string) => seen.alarms.find((each) => each.id === id);

  describe('what functions tell', () => {
    test.each(FUNCTIONS)('%s leaves a line for each invocation, with its name and id', async (name) => {
      const fn = cloud().fn(name);
      if (name === 'collector') await fn.invoke({ source: 'aws.events', 'detail-type': 'Scheduled Event' });
      const lines = linesOf(fn).filter(isOfInvocation);
      expect(lines.length).toBeGreaterThan(0);
      for (const line of lines) {
        expect(line).toMatchObject({ FunctionName: fn.settings.name, invocation: expect.any(String) });
      }
    });

    test('has the ids of what it was about: requests, messages, builds, tasks and events', () => {
      const has = (name: FunctionName, isMeant: (line: Line) => boolean, ids: readonly string[]): void => {
        const lines = linesOf(cloud().fn(name)).filter((line) => isOfInvocation(line) && isMeant(line));
        expect([name, lines.length > 0]).toEqual([name, true]);
        expect(lines.filter((line) => ids.some((id) => line[id] === undefined))).toEqual([]);
      };
      has('api', ({ build, task }) => build !== undefined || task !== undefined, ['gatewayRequest', 'requestId']);
      has('registry', ({ ServerErrors }) => ServerErrors === 0, ['gatewayRequest']);
      has('builder', ({ Messages }) => Messages === 1, ['messageId', 'build']);
      has('reconciler', ({ event }) => event !== undefined, ['messageId']);
      has('reconciler', ({ task }) => task !== undefined, ['messageId', 'event']);
    });

    test('finds all lines of a build by its id, in all functions', async () => {
      const { id, event } = await submit(cloud(), { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' }, 'team/found:1');
      await cloud().fn('builder').invoke(event);
      for (const name of ['api', 'builder'] as const) {
        expect(linesOf(cloud().fn(name)).some(({ build }) => build === id)).toBe(true);
      }
      const { id: task } = await clientOf(cloud()).tasks.run('wharf', { image: 'team/web:1' });
      expect(linesOf(cloud().fn('api')).some((line) => line['task'] === task)).toBe(true);
    });

    test('is what alarms and graphs look at, by the same names and dimensions', async () => {
      // What no other suite brought about.
      await buildImage(cloud(), 'build-worker:1', 'worker');
      for (const Dockerfile of ['FROM scratch\nRUN ["/made"]\n', 'FROM scratch\nCOPY missing /\n']) {
        const { event } = await submit(cloud(), { Dockerfile }, 'team/ended:1');
        await cloud().fn('builder').invoke(event);
      }
      const own = seen.metrics.filter(({ namespace }) => namespace === 'Wharf');
      expect(own.length).toBeGreaterThan(5);
      expect(own.filter((metric) => !isTold(metric))).toEqual([]);
      const ids = { FunctionName: seen.ids('AWS::Lambda::Function'), QueueName: seen.ids('AWS::SQS::Queue') };
      for (const { namespace, dimensions } of seen.metrics) {
        if (namespace === 'AWS/Lambda') expect(ids.FunctionName).toContain(dimensions['FunctionName']);
        if (namespace === 'AWS/SQS') expect(ids.QueueName).toContain(dimensions['QueueName']);
      }
    });

    function isTold({ name, dimensions }: WatchedMetric): boolean {
      expect(Object.keys(dimensions)).toEqual(['FunctionName']);
      const fn = FUNCTIONS.find((each) => new RegExp(`${each}Function`, 'i').test(dimensions['FunctionName'] ?? ''));
      return fn !== undefined && linesOf(cloud().fn(fn)).some((line) => name in line);
    }

    test('is named in the runbook, metric by metric', () => {
      const names = FUNCTIONS.flatMap((name) => linesOf(cloud().fn(name))).flatMap(({ _aws }) => {
        const directives = (_aws as { CloudWatchMetrics: { Metrics: { Name: string }[] }[] } | undefined) ?? undefined;
        return directives?.CloudWatchMetrics.flatMap(({ Metrics }) => Metrics.map(({ Name }) => Name)) ?? [];
      });
      expect(new Set(names).size).toBeGreaterThan(5);
      expect([...new Set(names)].filter((name) => !RUNBOOKS.includes(`\`${name}\``))).toEqual([]);
    });
  });

  test('every alarm has its page', () => {
    const headings = [...RUNBOOKS.matchAll(/^## (.*)$/gm)].map(([, heading = '']) => heading);
    expect(seen.alarms.length).toBe(7);
    for (const { id } of seen.alarms) {
      expect([id, headings.some((each) => each.split(':')[0]?.split(', ').includes(id))]).toEqual([id, true]);
    }
  });

  describe('an alarm goes off', () => {
    async function deadLettersOf(
      queue: string,
    ): Promise<{ readonly count: number; readonly bodies: readonly string[] }> {
      const { services, templates } = cloud();
      const id = templates.ofType('AWS::SQS::Queue').find((each) => each.id.includes(queue))?.id ?? '';
      const QueueUrl = `${services.endpoints.sqs}/000000000000/${id}`;
      const asked = { QueueUrl, AttributeNames: ['ApproximateNumberOfMessages' as const] };
      const { Attributes } = await services.queues.send(new GetQueueAttributesCommand(asked));
      const look = { QueueUrl, VisibilityTimeout: 0, MaxNumberOfMessages: 10 };
      const { Messages = [] } = await services.queues.send(new ReceiveMessageCommand(look));
      const bodies = Messages.map(({ Body = '' }) => Body);
      return { count: Number(Attributes?.['ApproximateNumberOfMessages']), bodies };
    }

    /** Delivers until the queue gives the message up, without waiting out its visibility. @returns how often it did */
    async function giveUp(queue: RegExp, fn: LambdaFunction, body: string): Promise<number> {
      const { services, templates } = cloud();
      const name = templates.ofType('AWS::SQS::Queue').find((each) => queue.test(each.id))?.id ?? '';
      const queueUrl = `${services.endpoints.sqs}/000000000000/${name}`;
      await services.queues.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: body }));
      let deliveries = 0;
      // Also what others left in the queue.
      const target: Pick<LambdaFunction, 'invoke'> = {
        invoke(event) {
          if ((event as SqsEvent).Records[0]?.body === body) deliveries += 1;
          return fn.invoke(event);
        },
      };
      const settings = { queueUrl, queueArn: name, batchSize: 1, visibilitySeconds: 0, reportsFailures: true };
      const source = new EventSource({ client: services.queues, target }, settings);
      while ((await source.poll()) > 0);
      return deliveries;
    }

    test('DeadEvents, for an event that failed five times; the log has why', async () => {
      const fn = cloud().fn('reconciler');
      expect(await giveUp(/Events(?!.*DeadLetters)[0-9A-F]{8}$/, fn, 'no JSON')).toBe(5);
      const { count, bodies } = await deadLettersOf('EventDeadLetters');
      expect(bodies).toContain('no JSON');
      expect(count).toBeGreaterThanOrEqual(alarm('DeadEvents')?.threshold ?? NaN);
      const [, phrase = ''] = /has the error at `([^`]+)`/.exec(RUNBOOKS) ?? [];
      const told = linesOf(fn).filter(({ message }) => String(message).startsWith(phrase));
      expect(told.at(-1)).toMatchObject({ level: 'error', messageId: expect.any(String), error: expect.anything() });
    });

    test('DeadBuilds, for a build that six functions died of; the message names it', async () => {
      const files = { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' };
      const { id } = await submit(cloud(), files, 'team/dies:1');
      // Not as the queue has it, which may hand that out as well.
      const body = `{ "build": "${id}" }`;
      const dying = cloud().another('builder', { WHARF_TABLE: undefined });
      expect(await giveUp(/BuilderQueue/, dying, body)).toBe(6);
      const { count, bodies } = await deadLettersOf('BuilderDeadLetters');
      expect(bodies).toContain(body);
      expect(count).toBeGreaterThanOrEqual(alarm('DeadBuilds')?.threshold ?? NaN);
    });

    test.each(['api', 'registry', 'reconciler', 'collector'] as const)(
      '%s, for calls that fail because a setting is missing; its first line has the code',
      async (name) => {
        const lacking = cloud().another(name, { WHARF_TABLE: undefined });
        await expect(lacking.invoke({})).rejects.toThrow(/lacks WHARF_TABLE/);
        expect(lacking.lines.join('\n')).toContain('HOST_CONFIG_INCOMPLETE');
        const id = `${name.charAt(0).toUpperCase()}${name.slice(1)}Errors`;
        expect(alarm(id)?.metric).toMatchObject({ namespace: 'AWS/Lambda', name: 'Errors' });
      },
    );
  });

  test('records of a newer version are SCHEMA_NEWER in the lines of a function', async () => {
    const table = cloud().templates.ofType('AWS::DynamoDB::GlobalTable')[0]?.id ?? '';
    const endpoint = cloud().services.endpoints.dynamoDb;
    const client = dynamoDbClient({ region: REGION, credentials: fakeCredentials, endpoint });
    const records = new DynamoDbRecordStore({ client, clock: systemClock, ids: systemIds }, { table });
    const key = { partition: 'SCHEMA', sort: '-' };
    await records.put(key, { version: SCHEMA_VERSION + 1 });
    const old = cloud().another('registry');
    try {
      const event = eventOf({ method: 'GET', url: '/v2/a/tags/list', headers: { host: 'x' } }, Buffer.alloc(0));
      await old.invoke({ ...event, headers: { ...event.headers, authorization: 'Bearer anything' } });
      expect(old.lines.join('\n')).toContain('SCHEMA_NEWER');
    } finally {
      await records.put(key, { version: SCHEMA_VERSION });
      await old.close();
      client.destroy();
    }
  });
}
