/** Names in FROM and --from that the request gives another meaning. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { digestOf } from '../../lib/oci/index.js';
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
    expect(two.result.steps.map(({ cached, reason }) => [cached, reason])[0]).toEqual([false, 'a.txt changed']);
    expect(await text(two, 'a.txt')).toBe('two');
  });

  test('is refused as a base when it holds files, and when its upload is not there', async () => {
    const context = await f.context({ a: 'a' });
    const base = f.build({ Dockerfile: 'FROM more' }, { contexts: { more: { context } } });
    const error = await failure(base);
    expect([error.code, error.details?.['line']]).toEqual(['BUILD_UNSUPPORTED_FROM_CONTEXT', 1]);
    const gone = { contexts: { more: { context: digestOf('nothing') } } };
    const main = await f.context({ Dockerfile: 'FROM scratch\nCOPY --from=more a /' });
    expect((await failure(f.builds.submit({ context: main, tags: [], ...gone }))).code).toBe('CONTEXT_UNKNOWN');
    const missing = await failure(f.build({ Dockerfile: 'FROM scratch\nCOPY --from=more a /' }, gone));
    expect([missing.code, missing.details?.['line']]).toEqual(['CONTEXT_UNKNOWN', 2]);
  });
});
