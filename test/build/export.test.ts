import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parseTag } from '../../lib/build/index.js';
import { goDuration, goJson } from '../../lib/build/export/go-format.js';
import { goQuote } from '../../lib/dockerfile/index.js';
import { BASE_CREATED, buildFixture, type BuildFixture, failure, FILE_TIME } from './fixture.js';

let f: BuildFixture;
beforeAll(async () => {
  f = await buildFixture();
  await f.push('base', { a: 'a' }, { Labels: { z: '1', b: '<2>' }, OnBuild: [] });
});
afterAll(() => f.close());

describe('the exported image', () => {
  test('has a config of sorted keys, Go field order, and history for every layer', async () => {
    const { result } = await f.build({
      Dockerfile: 'FROM base\nLABEL a="x & y"\nCOPY f /f\nEXPOSE 80\nUSER u\nSHELL ["/s"]\nHEALTHCHECK CMD x',
      f: 'f',
    });
    const bytes = (await f.store.content.read(result.imageId))?.toString() ?? '';
    const created = new Date(FILE_TIME * 1000).toISOString().replace('.000', '');
    expect(bytes).toBe(
      '{"architecture":"amd64","config":{"User":"u","ExposedPorts":{"80/tcp":{}},"Env":["PATH=/bin"],"Cmd":["sh"],' +
        '"Labels":{"a":"x \\u0026 y","b":"\\u003c2\\u003e","z":"1"},"Healthcheck":{"Test":["CMD-SHELL","x"]},"Shell":["/s"]},' +
        `"created":"${created}","history":[{"created":"${BASE_CREATED}","created_by":"made by hand"},` +
        `{"created":"${created}","created_by":"LABEL a=x \\u0026 y","comment":"buildkit.dockerfile.v0","empty_layer":true},` +
        `{"created":"${created}","created_by":"COPY f /f # buildkit","comment":"buildkit.dockerfile.v0"},` +
        `{"created":"${created}","created_by":"EXPOSE [80/tcp]","comment":"buildkit.dockerfile.v0","empty_layer":true},` +
        `{"created":"${created}","created_by":"USER u","comment":"buildkit.dockerfile.v0","empty_layer":true},` +
        `{"created":"${created}","created_by":"SHELL [/s]","comment":"buildkit.dockerfile.v0","empty_layer":true},` +
        `{"created":"${created}","created_by":"HEALTHCHECK {Test:[CMD-SHELL x] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}","comment":"buildkit.dockerfile.v0","empty_layer":true}],` +
        `"os":"linux","rootfs":{"type":"layers","diff_ids":${JSON.stringify((await f.config(result.imageId)).rootfs.diff_ids)}}}`,
    );
  });

  test('dates everything by SOURCE_DATE_EPOCH when it is given', async () => {
    const { result } = await f.build(
      { Dockerfile: 'FROM scratch\nARG SOURCE_DATE_EPOCH\nCOPY f /d/f\nWORKDIR /w', f: 'dated' },
      { args: { SOURCE_DATE_EPOCH: '1000000000' } },
    );
    const config = await f.config(result.imageId);
    expect(config.created).toBe('2001-09-09T01:46:40Z');
    expect(new Set(config.history?.map((entry) => entry.created))).toEqual(new Set(['2001-09-09T01:46:40Z']));
    for (const { digest } of result.layers) {
      for (const entry of await f.layer(digest)) expect(entry.mtime).toBe(1_000_000_000);
    }
  });

  test('is tagged under every name, each in its repository with all its blobs', async () => {
    const { result } = await f.build(
      { Dockerfile: 'FROM base\nCOPY f /', f: 'many' },
      { tags: ['one', 'one:x', 'team/two:3'] },
    );
    expect(result.tags).toEqual(['one:latest', 'one:x', 'team/two:3']);
    expect((await f.registry.tags('one'))?.map(({ tag, digest }) => [tag, digest])).toEqual([
      ['latest', result.digest],
      ['x', result.digest],
    ]);
    expect(await f.registry.manifest('team/two', { tag: '3' })).toMatchObject({ digest: result.digest });
  });

  test('of a Dockerfile without steps is the base with another config', async () => {
    const { result } = await f.build({ Dockerfile: 'FROM base\nENV A=1' });
    expect(result.layers).toHaveLength(1);
    expect((await f.config(result.imageId)).config?.Env).toEqual(['PATH=/bin', 'A=1']);
  });

  test.each(['FROM nothing:here', 'FROM base:2', 'FROM docker.io/library/busybox', 'FROM UPPER'])(
    '%s is refused and says what was looked up',
    async (line) => {
      const error = await failure(f.build({ Dockerfile: line }));
      expect(error.message).toMatchSnapshot();
      expect([error.code, error.hint]).toMatchSnapshot();
    },
  );
});

test('tags are names of our own registry', () => {
  expect(parseTag('a/b:1')).toEqual({ repository: 'a/b', tag: '1' });
  expect(parseTag('a')).toEqual({ repository: 'a', tag: 'latest' });
  expect(() => parseTag('host.example/a')).toThrow('names the registry host.example');
});

test('values are written as Go writes them', () => {
  expect(goQuote('a"\\\n\t\u0001é\u200b🙂')).toBe('"a\\"\\\\\\n\\t\\x01é\\u200b🙂"');
  expect([0, 500e6, 1.5e9, 90e9, 3.6e12, 1500].map(goDuration)).toEqual([
    '0s',
    '500ms',
    '1.5s',
    '1m30s',
    '1h0m0s',
    '1.5µs',
  ]);
  expect(goJson({ a: '<&>\u2028', b: undefined })).toBe('{"a":"\\u003c\\u0026\\u003e\\u2028"}');
});
