/** Tasks without a place say why: a row per instance, the smallest fix, kept with the service or the attempt. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { explainedText } from '../../lib/engine/index.js';
import { createEngineFixture, idOf, type EngineFixture } from './engine-fixture.js';

let fixture: EngineFixture;
beforeEach(async () => {
  fixture = await createEngineFixture({ auto: true, healthyAfterRunningMs: 0 });
});
afterEach(() => fixture.close());

describe('a service that finds no room', () => {
  test('keeps a table of all instances with need, have and constraint, until it has room', async () => {
    const small = idOf(await fixture.instance({ cpu: 256, memory: 64 }));
    const other = idOf(await fixture.instance({ cpu: 512, memory: 512, attributes: [{ name: 'disk', value: 'hdd' }] }));
    await fixture.definition('web', {
      placementConstraints: [{ type: 'memberOf', expression: 'attribute:disk == ssd' }],
    });
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 1 });
    await fixture.quiet();
    const waiting = await fixture.engine.unplacedService('default', 'web');
    expect(waiting).toMatchObject({
      service: 'web',
      tasks: 1,
      needs: { cpu: 128, memoryMiB: 128 },
      smallestFix: `Give instance ${other} what the constraint "attribute:disk == ssd" asks for, or change it.`,
    });
    const rows = new Map(waiting?.instances.map((row) => [row.instanceId, explainedText(row)]));
    expect(rows.get(small)).toBe('memory needs 128, has 64; memberOf attribute:disk == ssd');
    expect(rows.get(other)).toBe('memberOf attribute:disk == ssd');

    await fixture.ecs('PutAttributes', { attributes: [{ name: 'disk', value: 'ssd', targetId: other }] });
    await fixture.quiet();
    expect((await fixture.service('web')).runningCount).toBe(1);
    expect(await fixture.engine.unplacedService('default', 'web')).toBeUndefined();
  });

  test('keeps it over a restart, and loses it when the service is deleted', async () => {
    await fixture.instance({ cpu: 100, memory: 100 });
    await fixture.definition('web');
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 2 });
    await fixture.quiet();
    await fixture.restart();
    await fixture.quiet();
    expect((await fixture.engine.unplacedService('default', 'web'))?.smallestFix).toMatch(
      /^Ask for less, or register a larger instance: the task needs 128 CPU units and 128 MiB/,
    );
    await fixture.ecs('DeleteService', { service: 'web', force: true });
    await fixture.quiet();
    expect(await fixture.engine.unplaced('default')).toEqual([]);
  });
});

describe('an attempt that finds no room', () => {
  test('is explained for an hour, and its event names the fix', async () => {
    const id = idOf(await fixture.instance({ cpu: 256, memory: 512 }));
    await fixture.definition('job', {}, { cpu: 200 });
    await fixture.ecs('RunTask', { taskDefinition: 'job', count: 3 });
    expect(await fixture.engine.unplaced('default')).toMatchObject([
      {
        group: 'family:job',
        tasks: 2,
        instances: [{ instanceId: id, findings: [{ dimension: 'cpu', need: 200, have: 56 }] }],
        smallestFix: `Free 144 CPU units on instance ${id} or ask for 56 at most.`,
      },
    ]);
    fixture.clock.advance(3_600_001);
    expect(await fixture.engine.unplaced('default')).toEqual([]);
  });

  test.each([
    [
      { portMappings: [{ containerPort: 80, hostPort: 8080 }] },
      /^Stop what uses host port 8080, or leave the host port out/,
    ],
    [{ memory: 100_000 }, /^Ask for less, or register a larger instance/],
  ])('says what is in the way: %j', async (container, fix) => {
    await fixture.instance();
    await fixture.definition('first', {}, { portMappings: [{ containerPort: 80, hostPort: 8080 }] });
    await fixture.definition('second', {}, container);
    await fixture.ecs('RunTask', { taskDefinition: 'first' });
    await fixture.ecs('RunTask', { taskDefinition: 'second' });
    expect((await fixture.engine.unplaced('default'))[0]?.smallestFix).toMatch(fix);
  });
});
