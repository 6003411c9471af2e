/** What the end of a task means for its service: counted or not, and how long the next launch waits. */
import { describe, expect, test } from '@jest/globals';
import { afterTaskEnd, afterTaskHealthy } from '../../lib/engine/services/task-end.js';
import type { TaskState } from '../../lib/engine/state/model.js';
import type { DeploymentState, ServiceState } from '../../lib/engine/state/service-model.js';

const rules = { relaunchDelayMs: 1000, earlyExitFailsDeployment: true, nowMs: 0 };
const primary = { id: 'new', status: 'PRIMARY', rolloutState: 'IN_PROGRESS', failedTasks: 0 } as DeploymentState;
const service = (change: Partial<ServiceState> = {}): ServiceState =>
  ({
    deployments: [primary],
    launchFailures: 0,
    launchNotBeforeMs: 0,
    circuitBreaker: { resetOnHealthyTask: true },
    ...change,
  }) as ServiceState;
const task = (change: Partial<TaskState> = {}): TaskState =>
  ({ id: 't', deploymentId: 'new', containers: [], stopCode: 'TaskFailedToStart', ...change }) as unknown as TaskState;

describe('launches that never reach RUNNING', () => {
  test('wait twice as long each time, fifteen minutes at most', () => {
    const waits: number[] = [];
    let now = service();
    for (let failures = 0; failures < 13; failures += 1) {
      now = afterTaskEnd(now, task(), rules).service;
      waits.push(now.launchNotBeforeMs / 1000);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
    expect(now.launchFailures).toBe(13);
  });

  test('begin anew once a task has been healthy', () => {
    const failed = service({ launchFailures: 5 });
    const healed = afterTaskHealthy(failed, task());
    expect(afterTaskEnd(healed, task(), rules).service.launchNotBeforeMs).toBe(1000);
  });

  test('are told of as an impaired service at the third', () => {
    const told = [0, 1, 2, 3].map(
      (launchFailures) => afterTaskEnd(service({ launchFailures }), task({ stoppedReason: 'no image' }), rules).news,
    );
    expect(told.map((news) => news.length)).toEqual([0, 0, 1, 0]);
    expect(told[2]).toMatchObject([
      {
        message: 'is unable to consistently start tasks successfully. The last one stopped with: no image',
        event: { detail: { eventType: 'WARN', eventName: 'SERVICE_TASK_START_IMPAIRED' } },
      },
    ]);
  });
});

describe('an end', () => {
  const ran = { startedAtMs: 1, stopCode: 'EssentialContainerExited' } as const;

  test.each<[what: string, change: Partial<TaskState>, failures: number, waitMs: number]>([
    ['before RUNNING', {}, 1, 1000],
    ['after RUNNING, never healthy', ran, 1, 1000],
    ['after it was healthy', { ...ran, healthyAtMs: 2 }, 0, 0],
    ['that a client asked for', { stopCode: 'UserInitiated' }, 0, 0],
    ['that the scheduler asked for', { stopCode: 'ServiceSchedulerInitiated' }, 0, 0],
    ['of an instance that died', { ...ran, stopCode: 'TerminationNotice' }, 0, 0],
    ['of another deployment', { deploymentId: 'old' }, 0, 0],
  ])('%s', (_, change, failures, waitMs) => {
    const after = afterTaskEnd(service(), task(change), rules).service;
    expect([after.deployments[0]?.failedTasks, after.launchNotBeforeMs]).toEqual([failures, waitMs]);
  });

  test('after RUNNING fails no deployment where the engine is to do exactly as ECS does', () => {
    const after = afterTaskEnd(service(), task(ran), { ...rules, earlyExitFailsDeployment: false }).service;
    expect(after.deployments[0]?.failedTasks).toBe(0);
  });
});

test.each([
  [true, 0],
  [false, 2],
])('with resetOnHealthyTask %s a healthy task leaves %i failures', (resetOnHealthyTask, left) => {
  const circuitBreaker = { resetOnHealthyTask } as ServiceState['circuitBreaker'];
  const before = service({ deployments: [{ ...primary, failedTasks: 2 }], circuitBreaker });
  expect(afterTaskHealthy(before, task()).deployments[0]?.failedTasks).toBe(left);
});
