/** StopServiceDeployment: back to what was complete, while the deployment is under way, and only then. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createEngineFixture, type EngineFixture } from './engine-fixture.js';

let fixture: EngineFixture;
beforeEach(async () => {
  fixture = await createEngineFixture({ auto: true, healthyAfterRunningMs: 0 });
  await fixture.instance();
  await fixture.definition('web');
  await fixture.definition('web');
  await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web:1', desiredCount: 2 });
});
afterEach(() => fixture.close());

async function newest(): Promise<{ serviceDeploymentArn: string; status: string; statusReason?: string }> {
  const body = await fixture.ecs('ListServiceDeployments', { service: 'web' });
  const [first] = body['serviceDeployments'] as {
    serviceDeploymentArn: string;
    status: string;
    statusReason?: string;
  }[];
  if (first === undefined) throw new Error('no deployment');
  return first;
}

describe('StopServiceDeployment', () => {
  test('rolls a deployment that is under way back to the last complete one', async () => {
    await fixture.quiet();
    fixture.agent.auto = false;
    fixture.clock.advance(1000);
    await fixture.ecs('UpdateService', { service: 'web', taskDefinition: 'web:2' });
    await fixture.quiet();
    const { serviceDeploymentArn } = await newest();
    await expect(fixture.ecs('StopServiceDeployment', { serviceDeploymentArn })).resolves.toEqual({
      serviceDeploymentArn,
    });
    expect(await newest()).toMatchObject({ serviceDeploymentArn, status: 'ROLLBACK_IN_PROGRESS' });
    fixture.agent.auto = true;
    for (const id of fixture.agent.taskIds) {
      if (fixture.agent.stops.some(({ taskId }) => taskId === id)) fixture.agent.finish(id);
    }
    await fixture.quiet();
    expect(await fixture.service('web')).toMatchObject({
      taskDefinition: expect.stringMatching(/web:1$/),
      runningCount: 2,
      deployments: [{ status: 'PRIMARY', rolloutState: 'COMPLETED' }],
    });
    expect(await newest()).toMatchObject({
      status: 'ROLLBACK_SUCCESSFUL',
      statusReason: 'Deployment stopped by user.',
    });
    const again = await fixture.refused('StopServiceDeployment', { serviceDeploymentArn });
    expect(again).toMatchObject({ __type: 'ConflictException', resourceIds: [serviceDeploymentArn] });
  });

  test('is refused for what is not under way, for a first deployment, for ABORT and for what is not there', async () => {
    await fixture.quiet();
    const { serviceDeploymentArn } = await newest();
    expect(await fixture.refused('StopServiceDeployment', { serviceDeploymentArn })).toMatchObject({
      __type: 'ConflictException',
    });
    expect(await fixture.refused('StopServiceDeployment', { serviceDeploymentArn, stopType: 'ABORT' })).toMatchObject({
      __type: 'UnsupportedFeatureException',
    });
    const missing = { serviceDeploymentArn: `${serviceDeploymentArn}0` };
    expect(await fixture.refused('StopServiceDeployment', missing)).toMatchObject({
      __type: 'ServiceDeploymentNotFoundException',
    });
    fixture.agent.auto = false;
    await fixture.ecs('CreateService', { serviceName: 'new', taskDefinition: 'web:1', desiredCount: 1 });
    const body = await fixture.ecs('ListServiceDeployments', { service: 'new' });
    const [first] = body['serviceDeployments'] as { serviceDeploymentArn: string }[];
    expect(await fixture.refused('StopServiceDeployment', { ...first })).toMatchObject({
      __type: 'ClientException',
      message: 'The service has no completed deployment to roll back to.',
    });
  });
});
