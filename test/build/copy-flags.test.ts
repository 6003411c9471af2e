/** COPY and ADD with --parents, --link, --exclude, --checksum and --unpack. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { BuildEvent } from '../../lib/build/index.js';
import { writeTar } from '../../lib/layers/index.js';
import { buildFixture, type BuildFixture, failure, FILE_TIME, type Files, membersOf, textOf } from './fixture.js';

let f: BuildFixture;
beforeAll(async () => {
  f = await buildFixture();
  const passwd = 'app:x:1000:1001::/home/app:/bin/sh\n';
  await f.push('base', { 'etc/': {}, 'etc/passwd': passwd, 'opt/': { mode: 0o700, uid: 5 }, 'opt/old': 'old' });
  await f.push('other', { 'etc/': {}, 'etc/passwd': passwd, 'opt/': {}, 'opt/else': 'else' });
});
afterAll(() => f.close());

const lastLayer = async (dockerfile: string, files: Files = {}): Promise<string[]> => {
  const { result } = await f.build({ Dockerfile: dockerfile, ...files });
  const digest = result.layers.at(-1)?.digest;
  return digest === undefined ? [] : (await f.layer(digest)).map((e) => `${e.path} ${e.type} ${e.mode} ${e.owner}`);
};

const FILES: Files = {
  'a/': { mode: 0o711 },
  'a/x.txt': 'x',
  'a/b/': { mode: 0o750 },
  'a/b/y.txt': 'y',
  'a/b/z.md': 'z',
  'c/': {},
  'c/x.txt': 'cx',
  'top.txt': 'top',
};

describe('COPY --parents', () => {
  test('keeps the folders on the way, with their own modes', async () => {
    expect(await lastLayer('FROM scratch\nCOPY --parents a/b/y.txt top.txt /d/', FILES)).toEqual([
      'd directory 755 0:0',
      'd/a directory 711 0:0',
      'd/a/b directory 750 0:0',
      'd/a/b/y.txt file 644 0:0',
      'd/top.txt file 644 0:0',
    ]);
  });

  test('leaves out what stands before the pivot', async () => {
    expect(await lastLayer('FROM scratch\nCOPY --parents ./a/./b/y.txt /d/', FILES)).toEqual([
      'd directory 755 0:0',
      'd/b directory 750 0:0',
      'd/b/y.txt file 644 0:0',
    ]);
  });

  test('finds files at any depth with **, and folders that hold none do not come along', async () => {
    expect(await lastLayer('FROM scratch\nCOPY --parents **/*.txt /d/', FILES)).toEqual([
      'd directory 755 0:0',
      'd/a directory 711 0:0',
      'd/a/b directory 750 0:0',
      'd/a/b/y.txt file 644 0:0',
      'd/a/x.txt file 644 0:0',
      'd/c directory 755 0:0',
      'd/c/x.txt file 644 0:0',
      'd/top.txt file 644 0:0',
    ]);
    expect(await lastLayer('FROM scratch\nCOPY --parents ./a/./**/*.md /d/', FILES)).toEqual([
      'd directory 755 0:0',
      'd/b directory 750 0:0',
      'd/b/z.md file 644 0:0',
    ]);
  });

  test('takes whole folders and leaves out what --exclude names', async () => {
    expect(await lastLayer('FROM scratch\nCOPY --parents --exclude=**/*.md a /d/', FILES)).toEqual([
      'd directory 755 0:0',
      'd/a directory 711 0:0',
      'd/a/b directory 750 0:0',
      'd/a/b/y.txt file 644 0:0',
      'd/a/x.txt file 644 0:0',
    ]);
  });

  test('works from a stage, and is part of the key', async () => {
    const file = (flags: string): string => `FROM scratch AS s\nCOPY . /r/\nFROM scratch\nCOPY --from=s ${flags} /d/`;
    expect(await lastLayer(file('--parents /r/./a/b'), FILES)).toEqual([
      'd directory 755 0:0',
      'd/a directory 711 0:0',
      'd/a/b directory 750 0:0',
      'd/a/b/y.txt file 644 0:0',
      'd/a/b/z.md file 644 0:0',
    ]);
    expect(await lastLayer(file('/r/a/b'), FILES)).toEqual([
      'd directory 755 0:0',
      'd/y.txt file 644 0:0',
      'd/z.md file 644 0:0',
    ]);
  });

  test('stands in the history', async () => {
    const { result } = await f.build({ Dockerfile: 'FROM scratch\nCOPY --parents top.txt /d/', ...FILES });
    const { history } = await f.config(result.imageId);
    expect(history?.at(-1)?.created_by).toBe('COPY --parents top.txt /d/ # buildkit');
  });
});

describe('COPY --link', () => {
  const built = (base: string, line: string): ReturnType<BuildFixture['build']> =>
    f.build({ Dockerfile: `FROM ${base}\n${line}`, ...FILES });

  test('makes the same layer on any base, and finds it in the cache there', async () => {
    const line = 'COPY --link --chown=3:4 a /opt/a';
    const one = await built('base', line);
    const two = await built('other', line);
    const none = await built('scratch', line);
    expect(two.result.stepsCached).toBe(1);
    expect(two.result.layers.at(-1)?.digest).toBe(one.result.layers.at(-1)?.digest);
    expect(none.result.layers.at(-1)?.digest).toBe(one.result.layers.at(-1)?.digest);
    const entries = await f.layer(one.result.layers.at(-1)?.digest ?? ('' as never));
    expect(entries.map((e) => `${e.path} ${e.mode} ${e.owner} ${e.mtime}`)).toEqual([
      `opt 755 3:4 ${FILE_TIME}`,
      `opt/a 755 3:4 ${FILE_TIME}`,
      `opt/a/b 750 3:4 ${FILE_TIME}`,
      `opt/a/b/y.txt 644 3:4 ${FILE_TIME}`,
      `opt/a/b/z.md 644 3:4 ${FILE_TIME}`,
      `opt/a/x.txt 644 3:4 ${FILE_TIME}`,
    ]);
    expect(await textOf(await f.tree(one.result.digest), 'opt/old')).toBe('old');
  });

  test('is an ordinary copy when --chmod is there', async () => {
    const one = await built('base', 'COPY --link --chmod=600 top.txt /opt/');
    const entries = await f.layer(one.result.layers.at(-1)?.digest ?? ('' as never));
    expect(entries.map((e) => `${e.path} ${e.mode} ${e.owner}`)).toEqual(['opt 700 5:0', 'opt/top.txt 600 0:0']);
  });

  test('does not make what comes after it forget what was before it', async () => {
    const lines = (first: string): string => `${first}\nCOPY --link top.txt /l\nCOPY a/x.txt /opt/`;
    const one = await built('scratch', lines('COPY --chown=1 c /opt'));
    const two = await built('scratch', lines('COPY --chown=2 c /opt'));
    expect(two.result.steps.map(({ cached }) => cached)).toEqual([false, true, false]);
    const owner = async ({ result }: typeof one): Promise<string | undefined> =>
      (await f.layer(result.layers.at(-1)?.digest ?? ('' as never)))[0]?.owner;
    expect([await owner(one), await owner(two)]).toEqual(['1:1', '2:2']);
  });
});

describe('ADD of local files', () => {
  const archive = async (): Promise<Buffer> => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of writeTar(membersOf({ inner: 'inner' }))) chunks.push(chunk);
    return Buffer.concat(chunks);
  };

  test('keeps an archive with --unpack=false', async () => {
    const content = await archive();
    expect(await lastLayer('FROM scratch\nADD --unpack=false a.tar /', { 'a.tar': { content } })).toEqual([
      'a.tar file 644 0:0',
    ]);
    expect(await lastLayer('FROM scratch\nADD --unpack a.tar /', { 'a.tar': { content } })).toEqual([
      'inner file 644 0:0',
    ]);
  });

  test('checks --checksum before a step runs', async () => {
    const sum = createHash('sha256').update('top').digest('hex');
    const build = (text: string): Promise<readonly BuildEvent[]> =>
      f.build({ Dockerfile: `FROM scratch\nADD --checksum=sha256:${text} top.txt /`, ...FILES }).then((b) => b.events);
    expect((await build(sum)).some((event) => event.type === 'step-finished')).toBe(true);
    const error = await failure(build('0'.repeat(64)));
    expect([error.code, error.details?.['actual'], error.details?.['line']]).toEqual([
      'BUILD_CHECKSUM_MISMATCH',
      `sha256:${sum}`,
      2,
    ]);
  });
});
