/** Settings that come as build arguments, and the frontend that a Dockerfile names. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { buildFixture, type BuildFixture, failure, type Files } from './fixture.js';

let f: BuildFixture;
beforeAll(async () => {
  f = await buildFixture();
});
afterAll(() => f.close());

const warnings = async (args: Record<string, string>): Promise<string[]> => {
  const { events } = await f.build({ Dockerfile: 'FROM scratch' }, { args });
  return events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));
};

describe('a build argument', () => {
  test('BUILDKIT_MULTI_PLATFORM gives an index of one platform', async () => {
    const build = (value: string) =>
      f.build({ Dockerfile: 'FROM scratch' }, { args: { BUILDKIT_MULTI_PLATFORM: value } });
    expect((await build('1')).result.platforms).toHaveLength(1);
    expect((await build('0')).result.platforms).toBeUndefined();
    expect((await failure(build('yes'))).code).toBe('BUILD_ARG_INVALID');
  });

  test('BUILDKIT_SANDBOX_HOSTNAME must be a name', async () => {
    const error = await failure(warnings({ BUILDKIT_SANDBOX_HOSTNAME: 'a b' }));
    expect([error.code, error.hint]).toEqual(['BUILD_ARG_INVALID', expect.stringContaining('63')]);
  });

  test('that does nothing here is told', async () => {
    expect(await warnings({ BUILDKIT_INLINE_CACHE: '1' })).toEqual([]);
    expect(await warnings({ BUILDKIT_NO_SUCH: '1', OTHER: '2' })).toEqual([
      'build arguments that no ARG declares: BUILDKIT_NO_SUCH, OTHER',
    ]);
    expect(
      await warnings({
        BUILDKIT_BUILD_NAME: 'n',
        BUILDKIT_CACHE_MOUNT_NS: 'a',
        BUILDKIT_DOCKERFILE_CHECK: '',
        HTTP_PROXY: 'x',
      }),
    ).toEqual([]);
  });
});

describe('a syntax line', () => {
  const digest = `sha256:${'a'.repeat(64)}`;

  test.each([
    '# syntax=docker/dockerfile:1',
    '#syntax = docker/dockerfile:1.7-labs',
    `# syntax=docker.io/docker/dockerfile@${digest}`,
    '# syntax=docker/dockerfile-upstream:master',
    '# syntax=registry.corp:5000/mirror/docker/dockerfile:1',
  ])('%s is what this builder does itself', async (line) => {
    await f.build({ Dockerfile: `${line}\nFROM scratch` });
  });

  test.each<[string, string, number, number]>([
    ['another frontend', '# syntax=tonistiigi/dockerfile:x\nFROM scratch', 1, 10],
    ['another language', '# syntax=earthly/buildkit:1\nVERSION 0.8\n', 1, 10],
    ['one behind a shebang', '#!/usr/bin/env build\n# syntax=mine/frontend\nFROM scratch', 2, 10],
    ['one in another comment form', '// syntax=mine/frontend\nsomething else', 1, 11],
    ['one in JSON', '{"syntax": "mine/frontend"}', 1, 13],
  ])('with %s is refused before the file is read, with its line', async (_, Dockerfile, line, column) => {
    const error = await failure(f.build({ Dockerfile }));
    expect([error.code, error.details?.['line'], error.details?.['column']]).toEqual([
      'BUILD_UNSUPPORTED_SYNTAX',
      line,
      column,
    ]);
  });

  test('gives way to BUILDKIT_SYNTAX', async () => {
    const files: Files = { Dockerfile: '# syntax=mine/frontend\nFROM scratch' };
    await f.build(files, { args: { BUILDKIT_SYNTAX: 'docker/dockerfile:1' } });
    const error = await failure(f.build({ Dockerfile: 'FROM scratch' }, { args: { BUILDKIT_SYNTAX: 'mine/x' } }));
    expect([error.code, error.message]).toEqual([
      'BUILD_UNSUPPORTED_SYNTAX',
      'BUILDKIT_SYNTAX: the frontend "mine/x" is not offered',
    ]);
  });
});
