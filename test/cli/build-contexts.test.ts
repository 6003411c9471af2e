/** Where `wharf build` takes files and the Dockerfile from, when it is not one folder. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { BuildRequest } from '../../lib/build/index.js';
import { writeTar } from '../../lib/layers/index.js';
import { collect, file } from '../layers/members.js';
import { type CliFixture, createCliFixture, type Ran } from './cli-fixture.js';

let cli: CliFixture;
beforeAll(async () => {
  cli = await createCliFixture();
  await mkdir(join(cli.folder, 'app'));
  await mkdir(join(cli.folder, 'other'));
  await writeFile(join(cli.folder, 'app', 'Dockerfile'), 'FROM scratch\n');
  await writeFile(join(cli.folder, 'other', 'x'), 'x');
  await writeFile(join(cli.folder, 'Other.Dockerfile'), 'FROM other\n');
});
afterAll(() => cli.close());

/** What was asked for. */
async function asked(args: readonly string[], stdin?: string | Buffer): Promise<BuildRequest> {
  const { builds } = cli.api;
  const before = builds.submitted.length;
  const input = async function* (): AsyncGenerator<string | Uint8Array> {
    yield stdin ?? '';
  };
  const ran: { result?: Ran } = {};
  const running = cli.run(['build', ...args], { stdin: input() }).then((result) => (ran.result = result));
  await cli.api.base.until('it was submitted', () => builds.submitted.length > before || ran.result !== undefined);
  if (ran.result !== undefined) throw new Error(ran.result.stderr);
  const id = (await builds.list({ limit: 1 })).builds[0]?.id ?? '';
  builds.tell(id, { type: 'finished', status: 'succeeded', report: { kind: 'check', warnings: [] } });
  await running;
  const request = builds.submitted.at(-1);
  if (request === undefined) throw new Error('nothing was submitted');
  return request;
}

test('an address is named, not fetched here', async () => {
  const url = 'https://example.com/app.git#main:sub';
  expect(await asked([url, '-t', 'a:1'])).toMatchObject({ context: { url }, dockerfile: 'Dockerfile', tags: ['a:1'] });
  expect(await asked([url, '-f', 'x/Dockerfile'])).toMatchObject({ dockerfile: 'x/Dockerfile' });
});

test('standard input is a tar, or a Dockerfile without files', async () => {
  const tar = await collect(writeTar([file('Dockerfile', 'FROM scratch')]));
  const sent = await asked(['-'], tar);
  expect(sent.context).toMatch(/^sha256:/);
  expect(sent).not.toHaveProperty('dockerfileText');
  expect(await asked(['-'], 'FROM scratch\n')).toMatchObject({ dockerfileText: 'FROM scratch\n' });
});

test('the Dockerfile may come from standard input, or from outside of the folder', async () => {
  expect(await asked(['other', '-f', '-'], 'FROM busybox')).toMatchObject({ dockerfileText: 'FROM busybox' });
  expect(await asked(['other', '-f', 'Other.Dockerfile'])).toMatchObject({ dockerfileText: 'FROM other\n' });
  expect(await asked(['app', '-f', 'app/Dockerfile'])).not.toHaveProperty('dockerfileText');
});

test('more contexts have names', async () => {
  const places = ['files=other', 'img=docker-image://busybox:1', 's=target://base', 'git=https://example.com/a.git'];
  const { contexts } = await asked(['app', ...places.flatMap((place) => ['--build-context', place])]);
  expect(contexts).toEqual({
    files: { context: expect.stringMatching(/^sha256:/) },
    img: { image: 'busybox:1' },
    s: { stage: 'base' },
    git: { url: 'https://example.com/a.git' },
  });
});

test.each(['git@example.com:a/b.git', 'ssh://git@example.com/a/b.git#main', 'github.com/a/b#main:c'])(
  'the repository %s is fetched by the builder',
  async (url) => {
    expect(await asked([url])).toMatchObject({ context: { url } });
    if (!url.startsWith('github')) {
      expect((await asked(['app', '--build-context', `x=${url}`])).contexts).toEqual({ x: { url } });
    }
  },
);

test('an OCI layout is a folder that is sent, and which image of it is meant', async () => {
  const digest = `sha256:${'0'.repeat(64)}`;
  const places = ['a=oci-layout://other', 'b=oci-layout://./other:v1.2', `c=oci-layout://other@${digest}`];
  const { contexts } = await asked(['app', ...places.flatMap((place) => ['--build-context', place])]);
  const layout: unknown = expect.stringMatching(/^sha256:/);
  expect(contexts).toEqual({ a: { layout }, b: { layout, reference: 'v1.2' }, c: { layout, reference: digest } });
});

describe('is refused', () => {
  test.each([
    [['app', '--build-context', 'x'], /not name=place/],
    [['app', '--build-context', 'x=oci-layout://nowhere:1'], /nowhere is not a folder/],
    [['app', '--build-context', 'x=oci://other'], /not name=place/],
    [['app', '--build-context', 'x=git://example.com/a/b.git'], /not name=place/],
    [['app', '--build-context', 'x=nowhere'], /nowhere is not a folder/],
    [['-', '-f', '-'], /both come from standard input/],
    [['other'], /no Dockerfile in other/],
    [['app', '-f', '-'], /no text/],
  ])('%j', async (args, message) => {
    await expect(asked(args)).rejects.toThrow(message);
  });
});
