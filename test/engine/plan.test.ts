/** The arithmetic of rolling deployments: bounds, thresholds and the plan, by the vectors of ECS. */
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { breakerThreshold, deploymentBounds } from '../../lib/engine/services/bounds.js';
import type { Verdict } from '../../lib/engine/services/health.js';
import { planService, type ServiceSight } from '../../lib/engine/services/plan.js';
import type { TaskState } from '../../lib/engine/state/model.js';
import type { DeploymentState, ServiceState } from '../../lib/engine/state/service-model.js';

type Kind = 'new' | 'new-waiting' | 'new-pending' | 'new-ill' | 'old' | 'old-pending';

function sight(desired: number, minimum: number, maximum: number, kinds: readonly Kind[]): ServiceSight {
  const deployment = (id: string, status: 'PRIMARY' | 'ACTIVE'): Partial<DeploymentState> => ({
    id,
    status,
    rolloutState: 'IN_PROGRESS',
  });
  const service: Partial<ServiceState> = {
    status: 'ACTIVE',
    desiredCount: desired,
    minimumHealthyPercent: minimum,
    maximumPercent: maximum,
    placementStrategy: [],
    deployments: [deployment('new', 'PRIMARY'), deployment('old', 'ACTIVE')] as DeploymentState[],
  };
  const health = (kind: Kind): Verdict => {
    if (kind === 'new' || kind === 'old') return { verdict: 'healthy' };
    return kind === 'new-ill' ? { verdict: 'unhealthy', because: 'ill' } : { verdict: 'waiting' };
  };
  const tasks = kinds.map((kind, index) => ({
    health: health(kind),
    task: {
      id: `${kind}-${String(index)}`,
      desiredStatus: 'RUNNING',
      lastStatus: kind.endsWith('pending') ? 'PENDING' : 'RUNNING',
      deploymentId: kind.slice(0, 3),
      instanceId: 'i',
      createdAtMs: index,
    } as TaskState,
  }));
  return { service: service as ServiceState, tasks, leaving: new Set(), instances: new Map(), nowMs: 0 };
}

const times = (count: number, kind: Kind): Kind[] => Array.from({ length: count }, () => kind);

describe('bounds', () => {
  test.each([
    [1, 100, 200, 1, 2],
    [1, 100, 150, 1, 1],
    [4, 50, 100, 2, 4],
    [3, 50, 200, 2, 6],
    [5, 50, 150, 3, 7],
    [10, 0, 100, 0, 10],
    [1, 101, 200, 1, 2],
  ])('of %i at %i and %i percent are %i and %i', (desired, minimum, maximum, lower, upper) => {
    expect(deploymentBounds(desired, minimum, maximum)).toEqual({ lower, upper });
  });

  test.each([
    ['COUNT', 2, 100, 2],
    ['BOUNDED_PERCENT', 50, 1, 3],
    ['BOUNDED_PERCENT', 50, 25, 13],
    ['BOUNDED_PERCENT', 50, 800, 200],
    ['UNBOUNDED_PERCENT', 50, 800, 400],
    ['UNBOUNDED_PERCENT', 50, 1, 1],
  ] as const)('breaker %s %i at %i tasks trips at %i failures', (thresholdType, thresholdValue, desired, expected) => {
    const breaker = { enable: true, rollback: false, thresholdType, thresholdValue, resetOnHealthyTask: true };
    expect(breakerThreshold(breaker, desired)).toBe(expected);
  });
});

describe('the first step of a deployment', () => {
  test.each([
    // desired, minimum, maximum → starts, stops
    [1, 100, 200, 1, 0],
    [4, 50, 100, 0, 2],
    [3, 50, 200, 3, 0],
    [5, 50, 150, 2, 2],
    [10, 0, 100, 0, 10],
    [4, 100, 125, 1, 0],
  ])('of %i at %i and %i percent starts %i and stops %i', (desired, minimum, maximum, starts, stops) => {
    const plan = planService(sight(desired, minimum, maximum, times(desired, 'old')));
    expect([plan.starts, plan.stops.length, plan.deadlocked]).toEqual([starts, stops, false]);
  });

  test('of 1 at 100 and 150 percent is a deadlock', () => {
    expect(planService(sight(1, 100, 150, ['old']))).toEqual({ starts: 0, stops: [], deadlocked: true });
  });
});

describe('a plan', () => {
  test('lets an old task go for each new one that is healthy', () => {
    const plan = planService(sight(3, 100, 200, ['old', 'old', 'old', 'new', 'new-waiting', 'new-pending']));
    expect(plan.stops.map((stop) => stop.cause)).toEqual(['deployment']);
    expect(plan.starts).toBe(0);
  });

  test('stops what has not even started at once', () => {
    const plan = planService(sight(2, 100, 200, ['old-pending', 'old-pending']));
    expect(plan).toMatchObject({ starts: 2, stops: [{ cause: 'deployment' }, { cause: 'deployment' }] });
  });

  test('replaces an ill task start-first when there is room, else stops it first', () => {
    expect(planService(sight(2, 50, 200, ['new', 'new-ill']))).toMatchObject({ starts: 1, stops: [] });
    expect(planService(sight(2, 50, 200, ['new', 'new-ill', 'new']))).toMatchObject({
      starts: 0,
      stops: [{ cause: 'unhealthy', because: 'ill' }],
    });
    expect(planService(sight(2, 50, 100, ['new', 'new-ill']))).toMatchObject({
      starts: 0,
      stops: [{ cause: 'unhealthy' }],
    });
  });

  test('with no room to start first, replaces ill tasks one by one', () => {
    const stopped = (kinds: readonly Kind[]): unknown => {
      const { starts, stops } = planService(sight(4, 50, 100, kinds));
      return [starts, stops.map(({ taskId }) => taskId)];
    };
    expect(stopped(['new', 'new', 'new-ill', 'new-ill'])).toEqual([0, ['new-ill-2']]);
    // Its place is free: the replacement, and nothing else while that comes up.
    expect(stopped(['new', 'new', 'new-ill'])).toEqual([1, []]);
    expect(stopped(['new', 'new', 'new-pending', 'new-ill'])).toEqual([0, []]);
    expect(stopped(['new', 'new', 'new-waiting', 'new-ill'])).toEqual([0, []]);
    expect(stopped(['new', 'new', 'new', 'new-ill'])).toEqual([0, ['new-ill-3']]);
    // Also where all are ill: none of them counts towards the lower bound.
    expect(stopped(times(4, 'new-ill'))).toEqual([0, ['new-ill-0']]);
  });

  test('with both percentages at 100 neither deploys nor leaves an instance that drains', () => {
    expect(planService(sight(2, 100, 100, ['old', 'old']))).toEqual({ starts: 0, stops: [], deadlocked: true });
    const draining = { ...sight(2, 100, 100, ['new', 'new']), leaving: new Set(['i']) };
    expect(planService(draining)).toEqual({ starts: 0, stops: [], deadlocked: true });
  });

  test('on an instance that drains stops at once what has not started, and what runs once it is replaced', () => {
    const leaving = new Set(['i']);
    expect(planService({ ...sight(2, 100, 200, ['new', 'new-pending']), leaving })).toMatchObject({
      starts: 2,
      stops: [{ taskId: 'new-pending-1', cause: 'draining' }],
    });
    // Down to the lower bound without waiting, where the percentages allow it.
    expect(planService({ ...sight(2, 50, 100, ['new', 'new']), leaving })).toMatchObject({
      starts: 0,
      stops: [{ cause: 'draining' }],
    });
  });

  test('never goes below the lower bound nor above the upper one, and always ends', () => {
    const kinds = fc.array(
      fc.constantFrom<Kind>('new', 'new-waiting', 'new-pending', 'new-ill', 'old', 'old-pending'),
      {
        maxLength: 12,
      },
    );
    const percents = fc.tuple(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 100, max: 200 }));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 8 }), percents, kinds, (desired, [minimum, maximum], kinds) => {
        let now = [...kinds];
        const { lower, upper } = deploymentBounds(desired, minimum, maximum);
        let done = false;
        for (let round = 0; round < 60 && !done; round += 1) {
          const state = sight(desired, minimum, maximum, now);
          const plan = planService(state);
          const stopped = new Set(plan.stops.map((stop) => stop.taskId));
          expect(stopped.size).toBe(plan.stops.length);
          const healthy = state.tasks.filter(({ health }) => health.verdict === 'healthy');
          const left = healthy.filter(({ task }) => !stopped.has(task.id));
          // Only surplus may take healthy tasks below what stood before.
          if (healthy.length > left.length) expect(left.length).toBeGreaterThanOrEqual(Math.min(lower, desired));
          if (plan.starts > 0) expect(now.length + plan.starts).toBeLessThanOrEqual(upper);
          done = plan.starts === 0 && plan.stops.length === 0 && now.every((kind) => kind === 'new' || kind === 'old');
          if (plan.deadlocked) expect(desired === 0 ? false : upper <= Math.max(lower, desired)).toBe(true);
          now = state.tasks.flatMap(({ task }, index) => (stopped.has(task.id) ? [] : [now[index] ?? 'new']));
          // Everything that waits comes up; what is ill stays ill.
          now = now.map((kind) =>
            kind === 'new-waiting' || kind === 'new-pending' ? 'new' : kind === 'old-pending' ? 'old' : kind,
          );
          now.push(...times(plan.starts, 'new'));
        }
        if (upper > lower) expect(now).toEqual(times(desired, 'new'));
      }),
      { numRuns: 1000 },
    );
  });
});
