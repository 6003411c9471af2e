import { describe, expect, test } from '@jest/globals';
import { outcomeOf } from '../../lib/platform/deployment-outcome.js';
import type { Deployment } from '../../lib/platform/index.js';

const ours: Deployment = {
  id: '1',
  cluster: 'main',
  service: 'web',
  release: 2,
  status: 'in-progress',
  ecsDeploymentId: 'ecs-svc/2',
  createdMs: 0,
};
const primary = (change: object = {}) => ({
  id: 'ecs-svc/2',
  status: 'PRIMARY',
  rolloutState: 'IN_PROGRESS' as const,
  runningCount: 0,
  pendingCount: 0,
  ...change,
});
const service = (deployments: object[], change: object = {}) => ({
  status: 'ACTIVE',
  desiredCount: 2,
  deployments,
  ...change,
});
const outcome = (found: object | undefined, hasEarlier = true) => outcomeOf(ours, found, { hasEarlier });

describe('a deployment', () => {
  test('is complete when ECS says so and every task runs', () => {
    expect(outcome(service([primary({ rolloutState: 'COMPLETED', runningCount: 2 })]))).toEqual({ state: 'completed' });
    expect(outcome(service([primary({ rolloutState: 'COMPLETED', runningCount: 1 })]))).toEqual({ state: 'open' });
    expect(outcome(service([primary({ rolloutState: 'COMPLETED', runningCount: 2, pendingCount: 1 })]))).toEqual({
      state: 'open',
    });
  });

  test('of no tasks is complete without any', () => {
    const found = service([primary({ rolloutState: 'COMPLETED' })], { desiredCount: 0 });
    expect(outcome(found)).toEqual({ state: 'completed' });
  });

  test('that failed stays open while ECS has still to put the earlier one back', () => {
    const failed = primary({ rolloutState: 'FAILED', rolloutStateReason: 'tasks failed to start.' });
    expect(outcome(service([failed]))).toEqual({ state: 'open', note: 'tasks failed to start.' });
    expect(outcome(service([failed]), false)).toEqual({ state: 'failed', reason: 'tasks failed to start.' });
  });

  test('is rolled back when another deployment is primary and steady', () => {
    const back = primary({ id: 'ecs-svc/3', rolloutState: 'COMPLETED', runningCount: 2, taskDefinition: 'td:1' });
    const failed = primary({ status: 'ACTIVE', rolloutState: 'FAILED', rolloutStateReason: 'why' });
    expect(outcome(service([back, failed]))).toEqual({
      state: 'rolled-back',
      reason: 'why',
      taskDefinitionArn: 'td:1',
    });
    expect(outcome(service([back]))).toMatchObject({ state: 'rolled-back' });
  });

  test('whose roll-back is under way is open, and failed if that fails too', () => {
    expect(outcome(service([primary({ id: 'ecs-svc/3' })]))).toMatchObject({ state: 'open' });
    expect(outcome(service([primary({ id: 'ecs-svc/3', rolloutState: 'FAILED' })]))).toMatchObject({ state: 'failed' });
  });

  test('of a service that ECS does not know has failed', () => {
    expect(outcome(undefined)).toMatchObject({ state: 'failed' });
    expect(outcome(service([], { status: 'INACTIVE' }))).toMatchObject({ state: 'failed' });
  });

  test('shows what the scheduler complains of, and not what it did before', () => {
    const started = new Date(1000);
    const events = [{ createdAt: new Date(2000), message: '(service web) was unable to place a task.' }];
    const found = service([primary({ createdAt: started })], { events });
    expect(outcome(found)).toEqual({ state: 'open', note: '(service web) was unable to place a task.' });
    const old = service([primary({ createdAt: new Date(3000) })], { events });
    expect(outcome(old)).toEqual({ state: 'open' });
  });
});
