/** Names in FROM and --from that the request gives another meaning. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type BuildRequest, imageArchive } from '../../lib/build/index.js';
import { readTar } from '../../lib/layers/index.js';
import { type Digest, digestOf } from '../../lib/oci/index.js';
import type { ByteSource } from '../../lib/store/index.js';
import { buildFixture, type BuildFixture, type Built, failure, type Files, textOf } from './fixture.js';

let f: BuildFixture;
beforeAll(async () => {
  f = await buildFixture();
  await f.push('real', { name: 'real' });
  await f.push('other', { name: 'other' });
});
afterAll(() => f.close());

const text = async (built: Built, path: string): Promise<string> => textOf(await f.tree(built.result.digest), path);

describe('a named context', () => {
  test('puts another image in the place of an image or a stage', async () => {
    const Dockerfile = 'FROM real AS base\nFROM base\nCOPY --from=base /name /copy';
    expect(await text(await f.build({ Dockerfile }), 'copy')).toBe('real');
    const given = await f.build({ Dockerfile }, { contexts: { base: { image: 'other' } } });
    expect([await text(given, 'name'), await text(given, 'copy')]).toEqual(['other', 'other']);
    const image = await f.build({ Dockerfile }, { contexts: { real: { image: 'other' } } });
    expect(await text(image, 'name')).toBe('other');
  });

  test('may be for one platform, before one for all of them', async () => {
    const Dockerfile = 'FROM real AS base\nFROM scratch\nCOPY --from=base /name /';
    const name = async (contexts: BuildRequest['contexts'] = {}): Promise<string> =>
      text(await f.build({ Dockerfile }, { contexts }), 'name');
    const given = { image: 'other' };
    for (const platform of ['linux/amd64', 'x86_64', 'linux/amd64/v1']) {
      expect(await name({ [`docker.io/library/real:latest::${platform}`]: given })).toBe('other');
    }
    expect(await name({ 'real::linux/arm64': given })).toBe('real');
    expect(await name({ 'real::linux/arm64': { image: 'no/such' }, real: given })).toBe('other');
    expect((await failure(name({ 'real::a/b/c/d': given }))).code).toBe('PLATFORM_INVALID');
    // A word of the language stays what it is.
    expect(await name({ scratch: { image: 'no/such' } })).toBe('real');
  });

  test('stands for another stage of the file', async () => {
    const Dockerfile = 'FROM real AS one\nFROM other AS two\nFROM scratch\nCOPY --from=files /name /';
    const built = await f.build({ Dockerfile }, { contexts: { files: { stage: 'two' } } });
    expect(await text(built, 'name')).toBe('other');
    const later = 'FROM files AS x\nFROM real AS two\nFROM x';
    expect((await failure(f.build({ Dockerfile: later }, { contexts: { files: { stage: 'two' } } }))).code).toBe(
      'BUILD_BASE_UNKNOWN',
    );
  });

  test('brings files of another upload, which count in the key', async () => {
    const files: Files = { Dockerfile: 'FROM scratch\nCOPY --from=more a.txt /\nCOPY a.txt /own', 'a.txt': 'own' };
    const build = async (content: string): Promise<Built> =>
      f.build(files, { contexts: { more: { context: await f.context({ 'a.txt': content }) } } });
    const one = await build('one');
    expect([await text(one, 'a.txt'), await text(one, 'own')]).toEqual(['one', 'own']);
    expect((await build('one')).result.stepsCached).toBe(2);
    const two = await build('two');
    expect(two.result.steps.map(({ cached, reason }) => [cached, reason])[0]).toEqual([
      false,
      'a.txt: content changed',
    ]);
    expect(await text(two, 'a.txt')).toBe('two');
  });

  test('is one that is not there', async () => {
    const gone = { contexts: { more: { context: digestOf('nothing') } } };
    const main = await f.context({ Dockerfile: 'FROM scratch\nCOPY --from=more a /' });
    expect((await failure(f.builds.submit({ context: main, tags: [], ...gone }))).code).toBe('CONTEXT_UNKNOWN');
    const missing = await failure(f.build({ Dockerfile: 'FROM scratch\nCOPY --from=more a /' }, gone));
    expect([missing.code, missing.details?.['line']]).toEqual(['CONTEXT_UNKNOWN', 2]);
  });

  test('puts its files in the place of a base', async () => {
    const files: Files = {
      'bin/': {},
      'bin/tool': { content: 'tool', mode: 0o755, uid: 7 },
      l: { symlink: 'bin/tool' },
    };
    const build = async (more: Files = {}): Promise<Built> =>
      f.build(
        { Dockerfile: 'FROM more AS one\nCOPY x /x\nFROM one\nCOPY --from=more bin/tool /y', x: 'x' },
        { contexts: { more: { context: await f.context({ ...files, ...more }) } } },
      );
    const one = await build();
    const tree = await f.tree(one.result.digest);
    expect([await textOf(tree, 'bin/tool'), await textOf(tree, 'x'), await textOf(tree, 'y')]).toEqual([
      'tool',
      'x',
      'tool',
    ]);
    expect(tree.exact('bin/tool')).toMatchObject({ mode: 0o755, uid: 0, gid: 0 });
    expect(tree.exact('l')).toMatchObject({ type: 'symlink', linkTarget: 'bin/tool' });
    const { config, history = [] } = await f.config(one.result.imageId);
    expect(config?.Env).toEqual(['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin']);
    expect(history.map(({ created_by: by }) => by)).toEqual([
      'FROM more AS one # buildkit',
      'COPY x /x # buildkit',
      'COPY bin/tool /y # buildkit',
    ]);
    expect((await build()).result.stepsCached).toBe(3);
    const changed = await build({ l: { symlink: '/x' } });
    expect(changed.result.steps.map(({ cached, reason }) => [cached, reason])[0]).toEqual([
      false,
      'l: leads elsewhere',
    ]);
  });

  test('takes the place of a stage with all it does, whatever names that stage', async () => {
    const Dockerfile = 'FROM real AS base\nCOPY own /own\nFROM base\nCOPY --from=0 /name /copy';
    const built = await f.build({ Dockerfile, own: '' }, { contexts: { base: { image: 'other' } } });
    const tree = await f.tree(built.result.digest);
    expect([await textOf(tree, 'copy'), tree.exact('own')]).toEqual(['other', undefined]);
    const target = await f.build({ Dockerfile, own: '' }, { target: 'base', contexts: { base: { image: 'other' } } });
    expect([await text(target, 'name'), target.result.steps.length]).toEqual(['other', 0]);
  });

  test('has one name for an image, however long it is written', async () => {
    const contexts = { alpine: { image: 'other' } };
    for (const name of ['alpine', 'alpine:latest', 'docker.io/library/alpine']) {
      expect(await text(await f.build({ Dockerfile: `FROM ${name}` }, { contexts }), 'name')).toBe('other');
    }
    const longer = { contexts: { 'docker.io/library/alpine:latest': { image: 'other' } } };
    expect(await text(await f.build({ Dockerfile: 'FROM alpine' }, longer), 'name')).toBe('other');
  });
});

describe('an OCI layout', () => {
  /** A layout as our own export writes it, with one image `1`. */
  const layout = async (change: (tar: Files) => Files = (files) => files): Promise<Digest> => {
    await f.push('lib:1', { 'etc/': {}, 'etc/lib': 'from the layout' }, { Env: ['PATH=/bin', 'FROM_LAYOUT=1'] });
    const deps = { images: f.registry, content: f.store.content, indexes: f.indexes };
    const files: Record<string, { content: Buffer }> = {};
    for await (const { entry, body } of readTar(await imageArchive(deps, 'lib:1', { format: 'oci' }))) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of body) chunks.push(chunk);
      if (entry.type === 'file') files[entry.path] = { content: Buffer.concat(chunks) };
    }
    return f.context(change(files));
  };

  test('gives a base and files, with its layers brought in when they are read', async () => {
    const Dockerfile = 'FROM lay\nCOPY --from=lay /etc/lib /copy\nENV B=$FROM_LAYOUT';
    for (const reference of [undefined, '1']) {
      const given = { layout: await layout(), ...(reference === undefined ? {} : { reference }) };
      const built = await f.build({ Dockerfile }, { contexts: { lay: given } });
      expect([await text(built, 'etc/lib'), await text(built, 'copy')]).toEqual(['from the layout', 'from the layout']);
      expect((await f.config(built.result.imageId)).config?.Env).toContain('B=1');
    }
  });

  test('brings layers the store never had', async () => {
    const digest = await layout();
    const other = await buildFixture();
    try {
      await other.store.content.put(await opened(digest));
      const { result } = await other.build({ Dockerfile: 'FROM lay' }, { contexts: { lay: { layout: digest } } });
      expect(await textOf(await other.tree(result.digest), 'etc/lib')).toBe('from the layout');
    } finally {
      await other.close();
    }
  });

  test.each<[string, string | undefined, (files: Files) => Files, string, RegExp]>([
    ['a tag it does not have', '2', (files) => files, 'BUILD_BASE_UNKNOWN', /no image 2/],
    ['no index', undefined, () => ({ a: '' }), 'BUILD_LAYOUT_INVALID', /no index.json/],
    [
      'a blob with another content',
      undefined,
      (files) =>
        Object.fromEntries(
          Object.entries(files).map(([path, spec]) => [path, path.startsWith('blobs/') ? { content: '{}' } : spec]),
        ),
      'BUILD_LAYOUT_INVALID',
      /another content/,
    ],
  ])('is refused for %s, at the line', async (_, reference, change, code, message) => {
    const lay = { layout: await layout(change), ...(reference === undefined ? {} : { reference }) };
    const error = await failure(f.build({ Dockerfile: '# one\nFROM lay' }, { contexts: { lay } }));
    expect([error.code, error.details?.['line']]).toEqual([code, 2]);
    expect(error.message).toMatch(message);
  });

  const opened = async (digest: Digest): Promise<ByteSource> => {
    const stream = await f.store.content.open(digest);
    if (stream === undefined) throw new Error('no such blob');
    return stream as ByteSource;
  };
});
