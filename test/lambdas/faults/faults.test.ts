/**
 * Functions killed between any two writes: whatever an operation had done by then, nothing is lost and nothing happens
 * twice once the platform went on by itself and the caller asked again. WHARF_TEST_KILL_EVERY=yes takes every write of
 * every operation (many minutes), a list such as 7,8 these of every operation; otherwise it is one of a few.
 *
 * Then everything at once while all services fail now and then. WHARF_TEST_WEATHER=n lives through n seeds (half a
 * minute each), from WHARF_TEST_SEED on, otherwise through a short one.
 */
import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Moment } from '../../fakes/account/doom.js';
import { LambdaFunction } from '../../fakes/lambda/function.js';
import { eventOf } from '../../fakes/lambda/gateway.js';
import { buildImage } from '../builds.js';
import { build, chooseUnused, collect, handOver, push, submitBuild } from './build-operations.js';
import { ADMIN_TOKEN } from '../cloud.js';
import { CLUSTER, KillLab } from './lab.js';
import type { Operation } from './operation.js';
import { killAtEveryWrite } from './deaths.js';
import {
  deploy,
  endByEvents,
  IMAGE,
  OTHER_IMAGE,
  path,
  remove,
  rollback,
  runTask,
  runTasks,
  scale,
  spec,
} from './service-operations.js';
import { liveThrough } from './weather.js';

const every = process.env['WHARF_TEST_KILL_EVERY'] ?? '';
const isWhole = every !== '';
const wanted = every === 'yes' ? {} : { writes: every.split(',').map(Number) };
const LONGEST_MS = isWhole ? 900_000 : 60_000;
const seeds = Number(process.env['WHARF_TEST_WEATHER'] ?? 0);
const firstSeed = Number(process.env['WHARF_TEST_SEED'] ?? randomInt(1_000_000));

let lab: KillLab;
beforeAll(async () => {
  lab = await KillLab.open();
  await buildImage(lab.cloud, IMAGE, 'one');
  await buildImage(lab.cloud, OTHER_IMAGE, 'two');
  // Never run here: ECS is told of it.
  await buildImage(lab.cloud, 'build-worker:1', 'worker');
}, 120_000);
afterAll(() => lab.close());

const OPERATIONS: readonly (readonly [Operation, quick: readonly number[]])[] = [
  [deploy, [2]],
  [scale, []],
  [rollback, []],
  [remove, []],
  [runTask, [4]],
  [runTasks, []],
  [endByEvents, []],
  [submitBuild, []],
  [build, [5]],
  [handOver, []],
  [push, []],
  [chooseUnused, []],
  [collect, [12]],
];

interface DeathsAt {
  readonly name: string;
  readonly operation: Operation;
  readonly moment: Moment;
  /** All when absent. */
  readonly writes?: readonly number[];
}
const DEATHS = OPERATIONS.flatMap(([operation, writes]): readonly DeathsAt[] => {
  const { name } = operation;
  if (isWhole) return (['before', 'after'] as const).map((moment) => ({ name, operation, moment, ...wanted }));
  return writes.length === 0 ? [] : [{ name, operation, moment: 'after', writes }];
});

describe('a function that is killed at a write', () => {
  test.each(DEATHS)(
    '$name, $moment it was done',
    async ({ name, operation, moment, writes }) => {
      const tell = (line: string): void => {
        if (isWhole) process.stdout.write(`  ${line}\n`);
      };
      const chosen = writes === undefined ? {} : { wanted: writes };
      const { deaths, wrong } = await killAtEveryWrite(lab, operation, moment, { ...chosen, tell });
      process.stdout.write(`${name}: ${deaths.length} deaths\n`);
      expect(deaths.length).toBeGreaterThan(0);
      expect(wrong).toEqual([]);
    },
    LONGEST_MS,
  );
});

describe('a function whose time is over while ECS never answers', () => {
  test.each(isWhole ? (['before', 'after'] as const) : (['after'] as const))(
    'leaves nothing half: the service, %s it was made',
    async (moment) => {
      const id = `late-${moment}`;
      const subject = await deploy.prepare(lab, id);
      // Less than the half minute that it has, and long for a deployment.
      const api = new LambdaFunction({ ...lab.cloud.fn('api').settings, timeoutMs: 8_000 });
      const ask = (method: string, url: string, json?: object): Promise<unknown> => {
        const headers = { host: 'x', authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' };
        return api.invoke(
          eventOf({ method, url, headers }, Buffer.from(json === undefined ? '' : JSON.stringify(json))),
        );
      };
      try {
        await ask('GET', `/v1/clusters/${CLUSTER}`);
        lab.stall.arm('CreateService', moment);
        const asked = ask('PUT', path(`new-${id}`), spec(IMAGE, 2));
        await expect(asked).rejects.toMatchObject({ type: 'Sandbox.Timedout' });
        expect(lab.stall.hasStruck).toBe(true);
        await subject.check(false);
      } finally {
        await api.close();
      }
    },
    LONGEST_MS,
  );
});

describe('in bad weather', () => {
  test.each(Array.from({ length: Math.max(1, seeds) }, (_, n) => firstSeed + n))(
    'nothing is lost and nothing happens twice: seed %i',
    async (seed) => {
      const many = seeds > 0 ? ['a', 'b', 'c'] : ['a'];
      await liveThrough(
        lab,
        seed,
        many.map((name) => `${name}-${seed}`),
      );
      process.stdout.write(`seed ${seed}: ${JSON.stringify(lab.weather.met)}\n`);
    },
    600_000,
  );
});
