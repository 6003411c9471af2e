import { describe, expect, test } from '@jest/globals';
import { array, assert, property, record, string } from 'fast-check';
import { hashParts } from '../../lib/build/keys/framing.js';
import { chainKey, stepKey } from '../../lib/build/keys/keys.js';
import type { CopyOp, RunOp, Step, StepOp, WorkdirOp } from '../../lib/build/plan/steps.js';
import { digestOf } from '../../lib/oci/index.js';

const place = { file: 'Dockerfile', line: 1, column: 1, original: 'x' };
const step = (op: StepOp, more: Partial<Step> = {}): Step => ({
  number: 1,
  stage: 0,
  name: '[1/1]',
  instruction: 'x',
  place,
  op,
  platform: { os: 'linux', architecture: 'amd64' },
  ...more,
});
const inputs = {
  scope: 's',
  parent: 'p',
  select: async ({ path }: { readonly path: string }) => `content ${path}`,
};
const keyOf = async (op: StepOp, more: Partial<Step> = {}, other: object = {}): Promise<string> =>
  (await stepKey(step(op, more), { ...inputs, ...other })).key;

const run: RunOp = {
  kind: 'run',
  args: ['/bin/sh', '-c', 'make'],
  env: ['A=1', 'B=2'],
  hiddenEnv: [],
  user: 'u',
  cwd: '/w',
  network: 'default',
  security: 'sandbox',
  mounts: [
    { type: 'cache', target: '/c', id: 'c', sharing: 'shared', readonly: false, mode: 0o755, uid: 0, gid: 0 },
    { type: 'tmpfs', target: '/t', sizeBytes: 5 },
    {
      type: 'cache',
      target: '/e',
      id: 'e',
      sharing: 'locked',
      readonly: true,
      mode: 0o700,
      uid: 1,
      gid: 2,
      base: { source: { from: 'context' }, path: '/base' },
    },
    { type: 'secret', id: 's', target: '/s', env: 'S', required: true, mode: 0o400, uid: 3, gid: 4 },
    { type: 'bind', target: '/b', source: { from: 'context' }, path: '/src', readonly: true },
  ],
  script: { name: 'EOF', content: '#!/bin/sh' },
};
const copy: CopyOp = {
  kind: 'copy',
  sources: [
    { source: { from: 'context' }, path: '/a', below: 'x/**', unpack: false },
    { source: { from: 'context' }, path: '/b', unpack: true },
  ],
  inline: [{ name: 'f', content: 'c' }],
  destination: '/d/',
  owner: '1:2',
  mode: '755',
  exclude: ['x'],
  link: false,
};
const workdir: WorkdirOp = { kind: 'workdir', path: '/w', user: 'u' };

/** The value with one leaf changed, for every leaf; lists also lose an element. */
function* variants(value: unknown): Generator<unknown> {
  if (typeof value === 'string') yield `${value}!`;
  else if (typeof value === 'number') yield value + 1;
  else if (typeof value === 'boolean') yield !value;
  else if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) {
      for (const changed of variants(item)) yield value.map((each, j) => (i === j ? changed : (each as unknown)));
      yield value.filter((_, j) => i !== j);
    }
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, member] of Object.entries(value)) {
      for (const changed of variants(member)) yield { ...value, [name]: changed };
    }
  }
}

/** Discriminators have no other value that is valid; a source counts by what it selects. */
const isValid = (op: unknown): boolean => !/"(kind|type|from|network|sharing)":"[^"]*!"/.test(JSON.stringify(op));

describe('a step key', () => {
  test.each([
    ['RUN', run],
    ['COPY', copy],
    ['WORKDIR', workdir],
  ])('changes with every field of %s', async (_name, op) => {
    const seen = new Map([[await keyOf(op), 'as it is']]);
    let count = 0;
    for (const variant of variants(op)) {
      if (!isValid(variant)) continue;
      const key = await keyOf(variant as StepOp);
      expect({ variant, collidesWith: seen.get(key) }).toEqual({ variant, collidesWith: undefined });
      seen.set(key, JSON.stringify(variant));
      count += 1;
    }
    expect(count).toBeGreaterThan(1);
  });

  test('changes with parent, scope, platform, epoch, network, sharing and content', async () => {
    const keys = await Promise.all([
      keyOf(run),
      keyOf(run, {}, { parent: 'q' }),
      keyOf(run, {}, { scope: 't' }),
      keyOf(run, { platform: { os: 'linux', architecture: 'arm64' } }),
      keyOf(run, { epochSeconds: 0 }),
      keyOf(run, { epochSeconds: 1 }),
      keyOf({ ...run, network: 'none' }),
      keyOf(run, {}, { select: async () => 'other' }),
    ]);
    expect(new Set(keys).size).toBe(keys.length);
  });

  test('does not change with place, number, name, proxies or the order of variables', async () => {
    const same = await Promise.all([
      keyOf(run),
      keyOf(run, { number: 7, name: '[9/9]', instruction: 'y', place: { ...place, line: 99 } }),
      keyOf({ ...run, env: ['B=2', 'A=1'], hiddenEnv: ['HTTP_PROXY=x'] }),
    ]);
    expect(new Set(same).size).toBe(1);
  });
});

describe('framing', () => {
  const parts = array(record({ name: string({ maxLength: 5 }), value: string({ maxLength: 5 }) }), {
    maxLength: 4,
  });

  test('gives different lists of parts different hashes', () => {
    assert(
      property(parts, parts, (a, b) => {
        const equal = JSON.stringify(a) === JSON.stringify(b);
        return equal === (hashParts('k', a) === hashParts('k', b));
      }),
      { numRuns: 2000, seed: 20261123 },
    );
  });

  test('does not let text move between neighbours', () => {
    const hash = (...values: string[]): string =>
      hashParts(
        'k',
        values.map((value) => ({ name: 'n', value })),
      );
    expect(hash('ab', 'c')).not.toBe(hash('a', 'bc'));
    expect(hash('a', '')).not.toBe(hash('a'));
    expect(hash('1:a')).not.toBe(hash('a'));
    expect(hashParts('k', [{ name: 'ab', value: 'c' }])).not.toBe(hashParts('k', [{ name: 'a', value: 'bc' }]));
  });

  test('tells chains by their layers in order', () => {
    const [a, b] = [digestOf('a'), digestOf('b')];
    expect(new Set([chainKey([]), chainKey([a]), chainKey([a, b]), chainKey([b, a])]).size).toBe(4);
  });
});
