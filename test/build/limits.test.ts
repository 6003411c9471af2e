/** Bounds on what comes from elsewhere that no other suite meets: each has its own code, says its number and what would do. */
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { BuildSecrets } from '../../lib/build/index.js';
import { EgressGuard } from '../../lib/build/fetch/egress-guard.js';
import { trust } from '../../lib/build/sandbox/trust-bundle.js';
import { openContextFolder } from '../../lib/layers/context/context-folder-fs.js';
import { writeContextTar } from '../../lib/layers/context/context-tar-fs.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { buildFixture, type BuildFixture, failure } from './fixture.js';

let f: BuildFixture;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wharf-limits-'));
  f = await buildFixture();
});
afterAll(async () => {
  await f.close();
  await rm(folder, { recursive: true, force: true });
});

const later = async (work: () => unknown): Promise<unknown> => work();
const long = 'x'.repeat(60_000);
/** A word that grows eightfold with each ENV. */
const growing = ['ENV A0=' + long, ...[1, 2].map((i) => `ENV A${i}=${`\${A${i - 1}}`.repeat(8)}`)].join('\n');

test.each([
  [
    'a Dockerfile of more than 2 MiB',
    `FROM scratch\n${'# a comment\n'.repeat(200_000)}`,
    'CONTEXT_FILE_TOO_LARGE',
    /2097152/,
  ],
  [
    'variables that grow without an end',
    `FROM scratch\n${growing}`,
    'DOCKERFILE_EXPANSION_TOO_LARGE',
    /1048576 characters/,
  ],
  [
    'a replacement that grows without an end',
    `FROM scratch\nENV A=${long}\nENV B=\${A//x/${'y'.repeat(100)}}`,
    'DOCKERFILE_EXPANSION_TOO_LARGE',
    /1048576 characters/,
  ],
  ['a volume without a path', 'FROM scratch\nARG NOWHERE\nVOLUME ["$NOWHERE"]', 'BUILD_VOLUME_INVALID', /VOLUME/],
])('%s', async (_, Dockerfile, code, says) => {
  const error = await failure(f.build({ Dockerfile }));
  expect([error.code, error.hint === undefined]).toEqual([code, false]);
  expect(`${error.message} ${error.hint}`).toMatch(says);
});

test.each(['10.0.0.0', '10.0.0.0/33', 'fd00::/129', 'example.org/8', '/8', '10.0.0.0/-1'])(
  'a range of addresses like %j',
  async (range) => {
    const error = await failure(later(() => new EgressGuard({ allow: [range] })));
    expect([error.code, error.message]).toEqual([
      'EGRESS_RANGE_INVALID',
      `${JSON.stringify(range)} is no range of addresses`,
    ]);
  },
);

test.each(['', 'a\nb', 'a\0', 'x'.repeat(201)])('a secret called %j', async (id) => {
  const secrets = new BuildSecrets(new RecordsSecretStore(f.store.records, { key: Buffer.alloc(32, 7) }));
  const error = await failure(secrets.put('b', new Map([[id, Buffer.from('v')]])));
  expect([error.code, error.hint]).toEqual(['BUILD_SECRET_INVALID', '1 to 200 bytes, on one line']);
  expect(await secrets.builds()).toEqual([]);
});

test('a bundle of certificates of more than 10 MiB', async () => {
  const path = 'etc/ssl/certs/ca-certificates.crt';
  await mkdir(join(folder, dirname(path)), { recursive: true });
  await writeFile(join(folder, path), Buffer.alloc(10 * 1024 * 1024 + 1, '#'));
  await f.push('large', { [path]: 'of some size' });
  const lower = await f.tree((await f.registry.tagList.resolve('large', 'latest')) ?? ('' as never), 'large');
  const error = await failure(trust(folder, lower, 'a certificate'));
  expect([error.code, error.message]).toEqual([
    'BUILD_TRUST_BUNDLE_TOO_LARGE',
    `/${path} of the image has 10485761 bytes`,
  ]);
});

test('a file that gets shorter while the context is packed', async () => {
  const context = join(folder, 'context');
  await mkdir(context);
  await writeFile(join(context, 'Dockerfile'), 'FROM scratch\n');
  await writeFile(join(context, 'shrinks'), 'long enough');
  const members = openContextFolder(folder, 'context').look();
  await writeFile(join(context, 'shrinks'), '');
  const error = await failure(later(() => writeContextTar(members, join(folder, 'context.tar'))));
  expect([error.code, error.message]).toEqual(['CONTEXT_CHANGED', expect.stringContaining('shrinks')]);
});
