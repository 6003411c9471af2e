/** The history of a service's deployments: one row each with its end, listed newest first, and the revisions they went to. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { EngineFixture } from './engine-fixture.js';
import { pending, serviceIs, steady, twoInstances } from './service-steps.js';

interface Row {
  readonly serviceDeploymentArn: string;
  readonly targetServiceRevisionArn: string;
  readonly status: string;
  readonly statusReason?: string;
  readonly createdAt: number;
  readonly finishedAt?: number;
}

let fixture: EngineFixture;
beforeEach(async () => {
  fixture = await twoInstances();
});
afterEach(() => fixture.close());

const list = async (input: object = {}): Promise<readonly Row[]> =>
  (await fixture.ecs('ListServiceDeployments', { service: 'web', ...input }))['serviceDeployments'] as Row[];
const detail = async ({ serviceDeploymentArn }: Row): Promise<unknown> => {
  const input = { serviceDeploymentArns: [serviceDeploymentArn] };
  return ((await fixture.ecs('DescribeServiceDeployments', input))['serviceDeployments'] as unknown[])[0];
};
const deploymentConfiguration = {
  deploymentCircuitBreaker: { enable: true, rollback: false, thresholdConfiguration: { type: 'COUNT', value: 1 } },
};

test('each has its status, its revision and what its circuit breaker saw', async () => {
  await fixture.definition('web');
  const service = { serviceName: 'web', taskDefinition: 'web', desiredCount: 1, deploymentConfiguration };
  await fixture.ecs('CreateService', service);
  const [task = ''] = await pending(fixture, 'web', 1);
  const [first] = await list();
  expect(first).toMatchObject({ status: 'IN_PROGRESS' });
  expect(await detail(first as Row)).toMatchObject({
    status: 'IN_PROGRESS',
    sourceServiceRevisions: [],
    targetServiceRevision: { arn: first?.targetServiceRevisionArn, requestedTaskCount: 1, pendingTaskCount: 1 },
    deploymentConfiguration: { minimumHealthyPercent: 100, maximumPercent: 200, strategy: 'ROLLING' },
    deploymentCircuitBreaker: { status: 'MONITORING', failureCount: 0, threshold: 1 },
  });
  fixture.agent.start(task);
  await steady(fixture, 'web');

  // Begun, and superseded before it was done.
  fixture.clock.advance(1000);
  await fixture.ecs('UpdateService', { service: 'web', forceNewDeployment: true });
  await pending(fixture, 'web', 1);
  fixture.clock.advance(1000);
  await fixture.definition('web');
  await fixture.ecs('UpdateService', { service: 'web', taskDefinition: 'web' });
  const superseded = (await list())[1];
  expect(superseded).toMatchObject({ status: 'STOPPED', statusReason: 'Superseded by a newer deployment.' });
  expect(await detail(superseded as Row)).toMatchObject({
    deploymentCircuitBreaker: { status: 'MONITORING_COMPLETE' },
  });

  // Given up.
  const ofNew = async (): Promise<string | undefined> =>
    (await fixture.tasks({ serviceName: 'web' }))
      .find((task) => task.taskDefinitionArn.endsWith('web:2') && task.lastStatus === 'PENDING')
      ?.taskArn.split('/')
      .at(-1);
  for (const { taskId } of fixture.agent.stops) fixture.agent.finish(taskId);
  for (let step = 0; step < 50 && (await ofNew()) === undefined; step += 1) {
    fixture.clock.advance(250);
    await fixture.quiet();
  }
  fixture.agent.failToStart((await ofNew()) ?? '');
  await serviceIs(fixture, 'web', 'failed', ({ deployments }) => deployments[0]?.rolloutState === 'FAILED');
  const rows = await list();
  expect(rows.map(({ status }) => status)).toEqual(['STOPPED', 'STOPPED', 'SUCCESSFUL']);
  expect(await detail(rows[0] as Row)).toMatchObject({
    statusReason: 'ECS deployment circuit breaker: tasks failed to start.',
    finishedAt: expect.any(Number) as unknown,
    sourceServiceRevisions: [{ arn: rows[1]?.targetServiceRevisionArn }],
    deploymentCircuitBreaker: { status: 'TRIGGERED', failureCount: 1, threshold: 1 },
  });
  const serviceRevisionArns = rows.map(({ targetServiceRevisionArn }) => targetServiceRevisionArn);
  const { serviceRevisions, failures } = await fixture.ecs('DescribeServiceRevisions', { serviceRevisionArns });
  expect(failures).toEqual([]);
  expect((serviceRevisions as { taskDefinition: string }[]).map((one) => one.taskDefinition.split('/').at(-1))).toEqual(
    ['web:2', 'web:1', 'web:1'],
  );
});

test('they are listed newest first, by status, by time and in pages', async () => {
  await fixture.definition('web');
  await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 0 });
  for (let count = 0; count < 4; count += 1) {
    await steady(fixture, 'web');
    fixture.clock.advance(10_000);
    await fixture.ecs('UpdateService', { service: 'web', forceNewDeployment: true });
  }
  await steady(fixture, 'web');
  const all = await list();
  expect(all).toHaveLength(5);
  const times = all.map(({ createdAt }) => createdAt);
  expect(times).toEqual([...times].sort((a, b) => b - a));
  expect(await list({ status: ['SUCCESSFUL'] })).toHaveLength(5);
  expect(await list({ status: ['STOPPED', 'IN_PROGRESS'] })).toEqual([]);
  expect(await list({ createdAt: { after: times[2] } })).toEqual(all.slice(0, 2));
  expect(await list({ createdAt: { before: times[2] } })).toEqual(all.slice(3));
  const pages: Row[] = [];
  let nextToken: unknown;
  do {
    const page = await fixture.ecs('ListServiceDeployments', { service: 'web', maxResults: 2, nextToken });
    pages.push(...(page['serviceDeployments'] as Row[]));
    ({ nextToken } = page);
  } while (nextToken !== undefined);
  expect(pages).toEqual(all);
});
