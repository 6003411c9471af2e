/** Contexts sent as lists of files: what is asked for, what is refused, who sees them, how long they are kept. */
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ContextUploads, SentContexts } from '../../lib/build/index.js';
import { parseIgnore } from '../../lib/dockerfile/index.js';
import { encodeContextManifest, type ManifestEntry } from '../../lib/layers/index.js';
import type { Digest } from '../../lib/oci/index.js';
import { Collector } from '../../lib/registry/collector/index.js';
import { ContentStore } from '../../lib/store/index.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { manualClock, type ManualClock } from '../fakes/manual-clock.js';
import { mortalRecords } from '../fakes/mortal-records.js';
import { buildFixture, failure, type Files, membersOf, textOf } from './fixture.js';

const DAY = 24 * 3600 * 1000;
let clock: ManualClock;
let store: TestStore;
let uploads: ContextUploads;
let contexts: SentContexts;

beforeEach(async () => {
  clock = manualClock(Date.now() + 60_000);
  store = await createTestStore({ clock });
  uploads = new ContextUploads(store);
  contexts = new SentContexts(store);
});
afterEach(() => store.close());

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

function entriesOf(files: Files): ManifestEntry[] {
  return membersOf(files).map(({ entry }) => {
    const spec = files[entry.path];
    const text = typeof spec === 'string' ? spec : String(spec?.content ?? '');
    return entry.type === 'file' ? { ...entry, sha256: sha256(text) } : entry;
  });
}

async function* bytes(...parts: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

const listOf = (files: Files): AsyncGenerator<Uint8Array> => bytes(...encodeContextManifest(entriesOf(files)));

interface Sent {
  readonly digest: Digest;
  /** Paths whose contents were asked for. */
  readonly asked: readonly string[];
}

async function send(files: Files, owner = 'ann', name = 'app', on = uploads): Promise<Sent> {
  const entries = entriesOf(files);
  const offer = await on.offer(owner, name, listOf(files));
  if ('context' in offer) return { digest: offer.context.digest, asked: [] };
  const asked = offer.missing.map((number) => entries[number]?.path ?? '');
  const contents = asked.map((path) => {
    const spec = files[path];
    return typeof spec === 'string' ? spec : String(spec?.content ?? '');
  });
  const sent = await on.send(owner, offer.upload, 0, bytes(...contents));
  if (!('context' in sent)) throw new Error('it is not complete');
  return { digest: sent.context.digest, asked };
}

describe('a context as a list of files', () => {
  test('asks for each content once, and next time only for what changed', async () => {
    const files = { 'a/': {}, 'a/x': 'one', 'a/y': 'two', b: 'one', empty: '' };
    expect((await send(files)).asked).toEqual(['a/x', 'a/y']);
    expect((await send(files)).asked).toEqual([]);
    const changed = await send({ ...files, 'a/y': 'three', c: 'two' });
    expect(changed.asked).toEqual(['a/y']);
    const { tree } = await contexts.open(changed.digest, 'ann');
    const read = async (path: string): Promise<string> => textOf(tree, path);
    expect(await Promise.all(['a/x', 'a/y', 'b', 'c', 'empty'].map(read))).toEqual(['one', 'three', 'one', 'two', '']);
  });

  test('gives the image that the same files give as a tar', async () => {
    const f = await buildFixture();
    try {
      const files: Files = {
        Dockerfile: 'FROM scratch\nCOPY . /app/\n',
        '.dockerignore': 'skipped\nfirst\n',
        'bin/': { mode: 0o750 },
        'bin/run': { content: 'go', mode: 0o4755 },
        'bin/same': 'go',
        'bin/link': { symlink: 'run' },
        first: 'shared',
        second: { hardlink: 'first' },
        third: { hardlink: 'first' },
        skipped: 'x',
        empty: '',
      };
      const { digest } = await send(files, 'ann', 'app', new ContextUploads(f.store));
      const call = { id: 'b', emit: () => {}, signal: new AbortController().signal, owner: 'ann' };
      const sent = await f.builder.build({ context: digest, tags: ['app'], noCache: true }, call);
      const packed = await f.build(files, { noCache: true });
      expect(sent).toMatchObject({ digest: packed.result.digest });
      // And it is the same to the cache.
      const again = await f.builder.build({ context: digest, tags: ['app'] }, call);
      expect(again).toMatchObject({ stepsCached: 1 });
    } finally {
      await f.close();
    }
  });

  test('keeps files with one content apart, and the content of a link whose first name is ignored', async () => {
    const { digest } = await send({ a: 'same', b: 'same', c: { hardlink: 'a' } });
    const context = await contexts.open(digest, 'ann');
    const [a, b, c] = ['a', 'b', 'c'].map((path) => context.tree.exact(path));
    expect([a?.inode === b?.inode, a?.inode === c?.inode]).toEqual([false, true]);
    const rest = context.without(parseIgnore('a'));
    expect(await textOf(rest.tree, 'c')).toBe('same');
    const left = rest.tree.exact('c');
    expect(left && rest.tree.sha256(left)).toBe(sha256('same'));
  });

  test('goes on with an upload that an earlier version began', async () => {
    const files = { a: 'first', b: 'second' };
    const offer = await uploads.offer('ann', 'app', listOf(files));
    if (!('upload' in offer)) throw new Error('nothing is missing');
    const key = { partition: `CONTEXT-UPLOAD#${offer.upload}`, sort: '-' };
    const record = await store.records.get<{ arranged: Digest }>(key);
    if (record === undefined) throw new Error('there is no upload');
    const announced = Object.entries(files).map(([path, text]) => ({
      path,
      sizeBytes: text.length,
      sha256: sha256(text),
    }));
    const places = [
      [0, 0],
      [0, 5],
    ];
    const draft = await store.content.putBytes(Buffer.from(JSON.stringify({ packs: [], files: places, announced })));
    await store.records.put(key, { ...record.value, arranged: draft.digest });
    const sent = await uploads.send('ann', offer.upload, 0, bytes('first', 'second'));
    if (!('context' in sent)) throw new Error('it is not complete');
    const { tree } = await contexts.open(sent.context.digest, 'ann');
    expect([await textOf(tree, 'a'), await textOf(tree, 'b')]).toEqual(['first', 'second']);
  });

  test('may come in parts, which are checked when they are whole', async () => {
    const files = { a: 'first content', b: 'second content' };
    const offer = await uploads.offer('ann', 'app', listOf(files));
    if (!('upload' in offer)) throw new Error('nothing is missing');
    expect(await uploads.send('ann', offer.upload, 0, bytes('first con'))).toEqual({ offset: 9 });
    const again = await failure(uploads.send('ann', offer.upload, 0, bytes('first con')));
    expect(again).toMatchObject({ code: 'CONTEXT_OFFSET', details: { offset: 9 } });
    const sent = await uploads.send('ann', offer.upload, 9, bytes('tentsecond content'));
    if (!('context' in sent)) throw new Error('it is not complete');
    const { tree } = await contexts.open(sent.context.digest, 'ann');
    expect([await textOf(tree, 'a'), await textOf(tree, 'b')]).toEqual(Object.values(files));
  });

  test.each([
    ['at once', ['what really came!more']],
    ['in parts', ['what really', ' came!more']],
  ])('refuses contents that are not what was announced, %s, and keeps nothing', async (_, parts) => {
    const files = { a: 'the announced one', b: 'more' };
    const offer = await uploads.offer('ann', 'app', listOf(files));
    if (!('upload' in offer)) throw new Error('nothing is missing');
    let offset = 0;
    const sending = async (): Promise<void> => {
      for (const part of parts) {
        await uploads.send('ann', offer.upload, offset, bytes(part));
        offset += part.length;
      }
    };
    const error = await failure(sending());
    expect(error).toMatchObject({ code: 'CONTEXT_CONTENT_MISMATCH', details: { path: 'a' } });
    expect(await failure(uploads.send('ann', offer.upload, 0, bytes('x')))).toMatchObject({
      code: 'CONTEXT_UPLOAD_UNKNOWN',
    });
    expect((await send(files)).asked).toEqual(['a', 'b']);
  });

  test('refuses more bytes than are missing', async () => {
    const offer = await uploads.offer('ann', 'app', listOf({ a: '1234' }));
    if (!('upload' in offer)) throw new Error('nothing is missing');
    const error = await failure(uploads.send('ann', offer.upload, 0, bytes('12345')));
    expect(error).toMatchObject({ code: 'CONTEXT_TOO_LONG' });
  });

  test('is seen only when it is whole', async () => {
    const files = { a: 'content' };
    const offer = await uploads.offer('ann', 'app', listOf(files));
    if (!('upload' in offer)) throw new Error('nothing is missing');
    const digest = `sha256:${sha256([...encodeContextManifest(entriesOf(files))].join(''))}` as Digest;
    expect(await contexts.has(digest, 'ann')).toBe(false);
    expect(await failure(contexts.open(digest, 'ann'))).toMatchObject({ code: 'CONTEXT_UNKNOWN' });
    await uploads.send('ann', offer.upload, 0, bytes('content'));
    expect(await contexts.has(digest, 'ann')).toBe(true);
  });

  test.each(['before', 'after'] as const)(
    'survives a kill %s every write: whole or not there, and sent again it is',
    async (moment) => {
      const files = { 'a/': {}, 'a/x': 'one', 'a/y': 'two' };
      const list = [...encodeContextManifest(entriesOf(files))].join('');
      const digest = `sha256:${sha256(list)}` as Digest;
      let deaths = 0;
      for (let write = 1; ; write++) {
        const fresh = await createTestStore({ clock });
        try {
          const records = mortalRecords(fresh.records);
          const content = new ContentStore(fresh.blobs, records, clock);
          const died = new Promise<'died'>((resolve) => records.killAt(write, moment, () => resolve('died')));
          const sending = send(files, 'ann', 'app', new ContextUploads({ ...fresh, records, content }));
          const end = await Promise.race([died, sending.then(() => 'sent' as const)]);
          if (end === 'sent') break;
          deaths += 1;
          while (records.inFlight > 0) await new Promise((resolve) => setImmediate(resolve));
          const after = new SentContexts(fresh);
          if (await after.has(digest, 'ann')) {
            expect(await textOf((await after.open(digest, 'ann')).tree, 'a/y')).toBe('two');
          }
          const again = await send(files, 'ann', 'app', new ContextUploads(fresh));
          expect(again.digest).toBe(digest);
          expect(await textOf((await after.open(digest, 'ann')).tree, 'a/x')).toBe('one');
        } finally {
          await fresh.close();
        }
      }
      expect(deaths).toBeGreaterThan(8);
    },
  );

  test('tells nobody what others have sent', async () => {
    const files = { secret: 'of ann' };
    const { digest } = await send(files);
    // Ben knows the list, and so the digest, but has never had the content.
    expect(await contexts.has(digest, 'ben')).toBe(false);
    expect(await failure(contexts.open(digest, 'ben'))).toMatchObject({ code: 'CONTEXT_UNKNOWN' });
    const offer = await uploads.offer('ben', 'app', listOf(files));
    expect(offer).toMatchObject({ missing: [0] });
    const id = 'upload' in offer ? offer.upload : '';
    expect(await failure(uploads.send('ann', id, 0, bytes('of ann')))).toMatchObject({
      code: 'CONTEXT_UPLOAD_UNKNOWN',
    });
  });

  test('asks again for what lies among too much that nobody needs', async () => {
    const large = 'x'.repeat(2 * 1024 * 1024);
    await send({ large, small: 'small' });
    expect((await send({ large: 'other', small: 'small' })).asked).toEqual(['large', 'small']);
  });

  test('does not spread over more and more packs', async () => {
    const files: Record<string, string> = {};
    const asked: number[] = [];
    for (let i = 0; i < 40; i++) {
      files[`f${i}`] = `content ${i}`;
      asked.push((await send(files)).asked.length);
    }
    expect(Math.max(...asked.slice(0, 33))).toBe(1);
    expect(Math.max(...asked)).toBeGreaterThan(10);
    expect(asked.at(-1)).toBe(1);
  });

  test('outlives the collector while it is used, and goes when it is not', async () => {
    const files = { a: 'kept', b: 'too' };
    const { digest } = await send(files);
    const collect = async (): Promise<void> => {
      for (let pass = 0; pass < 4; pass++) {
        await new Collector(store).pass();
        clock.advance(3600 * 1000 + 1);
      }
    };
    for (let round = 0; round < 4; round++) {
      clock.advance(9 * DAY);
      await collect();
      expect(await contexts.has(digest, 'ann')).toBe(true);
      expect(await textOf((await contexts.open(digest, 'ann')).tree, 'b')).toBe('too');
    }
    clock.advance(60 * DAY);
    await collect();
    expect(await contexts.has(digest, 'ann')).toBe(false);
    let left = 0;
    for await (const blob of store.blobs.list()) left += blob.sizeBytes;
    expect(left).toBe(0);
    expect((await send(files)).asked).toEqual(['a', 'b']);
  });

  test.each([
    ['a name that climbs', '["f","../a",420,0,1,"HEX"]', 'TAR_UNSAFE_PATH'],
    ['an absolute name', '["f","/a",420,0,1,"HEX"]', 'TAR_UNSAFE_PATH'],
    ['a name with a dot', '["f","a/./b",420,0,1,"HEX"]', 'TAR_UNSAFE_PATH'],
    ['a control character', '["f","a\\u0001",420,0,1,"HEX"]', 'TAR_UNSAFE_PATH'],
    ['what lies behind a link', '["l","a",0,"/etc"]\n["f","a/b",420,0,1,"HEX"]', 'TAR_UNSAFE_PATH'],
    ['a hard link to nothing', '["h","a","b"]', 'TAR_UNSAFE_ENTRY'],
    ['the mark of a layer', '["f",".wh.a",420,0,1,"HEX"]', 'TAR_UNSAFE_ENTRY'],
    ['a name twice', '["d","a",493,0]\n["d","a",493,0]', 'TAR_UNSAFE_ENTRY'],
    ['a file that is a folder too', '["f","a",420,0,1,"HEX"]\n["d","a/b",493,0]', 'TAR_UNSAFE_PATH'],
    ['more than may be', '["f","a",420,0,99999999999,"HEX"]', 'TAR_TOO_LARGE'],
    ['a digest that is none', '["f","a",420,0,1,"abc"]', 'CONTEXT_LIST_INVALID'],
    ['a mode out of range', '["f","a",99999,0,1,"HEX"]', 'CONTEXT_LIST_INVALID'],
    ['a size below zero', '["f","a",420,0,-1,"HEX"]', 'CONTEXT_LIST_INVALID'],
    ['another kind', '["p","a"]', 'CONTEXT_LIST_INVALID'],
    ['no array', '{"path":"a"}', 'CONTEXT_LIST_INVALID'],
  ])('refuses %s', async (_, line, code) => {
    const list = `{"format":"wharf.context.v1"}\n${line.replaceAll('HEX', sha256('x'))}\n`;
    const error = await failure(uploads.offer('ann', 'app', bytes(list)));
    expect(error).toMatchObject({ code });
    expect(error.message).toMatch(/line \d/);
  });

  test.each([
    ['nothing', ''],
    ['another first line', '["d","a",493,0]\n'],
    ['a line cut short', '{"format":"wharf.context.v1"}\n["d","a",4'],
  ])('refuses %s as a list', async (_, list) => {
    expect(await failure(uploads.offer('ann', 'app', bytes(list)))).toMatchObject({ code: 'CONTEXT_LIST_INVALID' });
  });
});
