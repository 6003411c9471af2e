/** `wharf:locality`: tasks go where least has to be pulled; opt-in, and as well-behaved as the other strategies. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { simulateLocality } from '../../bench/engine/locality-simulation.js';
import { digestOf } from '../../lib/oci/index.js';
import { createEngineFixture, idOf, type EngineFixture } from './engine-fixture.js';

const BASE = { digest: 'sha256:base', sizeBytes: 90_000_000 };
const layer = (name: string): { digest: string; sizeBytes: number } => ({
  digest: `sha256:${name}`,
  sizeBytes: 1_000_000,
});
const strategy = { placementStrategy: [{ type: 'wharf:locality' }] };

let fixture: EngineFixture;
beforeEach(async () => {
  fixture = await createEngineFixture({ auto: true, healthyAfterRunningMs: 0 });
  for (const name of ['shop', 'cart', 'blog']) {
    const layers = name === 'blog' ? [layer(name)] : [BASE, layer(name)];
    fixture.agent.images.set(`${name}:1`, { digest: digestOf(Buffer.from(name)), layers });
    await fixture.definition(name, {}, { image: `${name}:1` });
  }
});
afterEach(() => fixture.close());

const run = async (family: string, more: object = {}): Promise<string> => {
  const { tasks = [] } = await fixture.ecs('RunTask', { taskDefinition: family, ...more });
  await fixture.quiet();
  return idOf(tasks[0]?.containerInstanceArn ?? '');
};

describe('placement by locality', () => {
  test('goes to the instance that has the layers, also those of another image, and by binpack where none has', async () => {
    for (let count = 0; count < 3; count += 1) await fixture.instance({ cpu: 4096, memory: 4096 });
    const first = await run('shop', strategy);
    const other = await run('blog');
    expect(other).not.toBe(first);
    expect(await run('shop', strategy)).toBe(first);
    expect(await run('cart', strategy)).toBe(first);
    expect(await run('blog', strategy)).toBe(other);
    // Without the strategy the emptiest one is taken.
    expect([first, other]).not.toContain(await run('shop'));
  });

  test('an instance counts as holding an image for an hour after its last task, also over a restart', async () => {
    for (let count = 0; count < 2; count += 1) await fixture.instance({ cpu: 4096, memory: 4096 });
    const first = await run('shop');
    for (const { taskArn } of await fixture.tasks()) await fixture.ecs('StopTask', { task: taskArn });
    await fixture.quiet();
    // From here on the other one is emptier.
    expect(await run('blog')).toBe(first);
    await fixture.restart();
    await fixture.quiet();
    expect(await run('shop', strategy)).toBe(first);
  });

  test('takes no field, and tells what would have to be pulled where there is no room', async () => {
    await fixture.instance({ cpu: 256, memory: 256 });
    const refused = await fixture.refused('RunTask', {
      taskDefinition: 'shop',
      placementStrategy: [{ type: 'wharf:locality', field: 'memory' }],
    });
    expect(refused.message).toBe('The strategy wharf:locality takes no field.');
    await run('cart', strategy);
    await fixture.ecs('RunTask', { taskDefinition: 'shop', count: 2, ...strategy });
    const [attempt] = await fixture.engine.unplaced('default');
    expect(attempt?.instances).toMatchObject([{ bytesToPull: 1_000_000 }]);
  });
});

test('far fewer starts are cold than with binpack, on hardly more instances', () => {
  const options = { seed: 7, starts: 3000 };
  const packed = simulateLocality([{ type: 'binpack', field: 'memory' }], options);
  const local = simulateLocality([{ type: 'wharf:locality' }, { type: 'binpack', field: 'memory' }], options);
  expect(packed.coldShare).toBeGreaterThan(0.4);
  expect(local.coldShare).toBeLessThan(packed.coldShare / 2);
  expect(local.instances).toBeLessThan(packed.instances * 1.05);
});
