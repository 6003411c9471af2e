/** What every RecordStore must do. An adapter's test calls this with a factory; records of a run have keys of their own. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { Clock, Expect, RecordKey, RecordStore, RecordWrite } from '../../lib/store/index.js';
import { manualClock } from '../fakes/manual-clock.js';

export interface RecordStoreSubject {
  readonly records: RecordStore;
  close(): Promise<void>;
}

export function recordStoreContract(name: string, open: (deps: { clock: Clock }) => Promise<RecordStoreSubject>): void {
  describe(`${name} as a record store`, () => {
    const clock = manualClock(Date.now());
    let subject: RecordStoreSubject;
    let records: RecordStore;
    beforeAll(async () => {
      subject = await open({ clock });
      records = subject.records;
    });
    afterAll(() => subject.close());
    /** Of a record that is there. */
    const versionOf = async (key: RecordKey): Promise<number> => (await records.get(key))?.version ?? NaN;

    describe('one record', () => {
      test('reads as absent before it is written', async () => {
        expect(await records.get(freshKey())).toBeUndefined();
      });

      test('comes back as it was written, at the version that was told', async () => {
        const key = freshKey();
        const value = {
          text: 'ö "quoted"\n',
          zero: 0,
          big: 1e300,
          tiny: -1.5e-9,
          none: null,
          list: [1, [], {}],
          empty: '',
        };
        const written = await records.put(key, value);
        const version = await versionOf(key);
        expect(version).toBeGreaterThan(0);
        expect(Number.isSafeInteger(version)).toBe(true);
        expect(written).toEqual({ outcome: 'written', version });
        expect(await records.get(key)).toEqual({ ...key, value, version });
      });

      test('keeps any JSON object', async () => {
        await fc.assert(
          fc.asyncProperty(fc.dictionary(fc.string(), fc.jsonValue()), async (value) => {
            const key = freshKey();
            await records.put(key, value);
            expect((await records.get(key))?.value).toEqual(JSON.parse(JSON.stringify(value)));
          }),
          { numRuns: 25 },
        );
      });

      test('drops members that are undefined', async () => {
        const key = freshKey();
        await records.put(key, { kept: 1, gone: undefined });
        expect((await records.get(key))?.value).toStrictEqual({ kept: 1 });
      });

      test('counts its versions up from write to write', async () => {
        const key = freshKey();
        await records.put(key, {});
        const first = await versionOf(key);
        for (const version of [first + 1, first + 2]) {
          expect(await records.put(key, { version })).toEqual({ outcome: 'written', version });
        }
      });

      test('is not taken for the one that was deleted', async () => {
        const key = freshKey();
        await records.put(key, { old: true });
        const version = await versionOf(key);
        expect(await records.delete(key)).toEqual({ outcome: 'written', version: 0 });
        expect(await records.get(key)).toBeUndefined();
        await records.put(key, { new: true });
        expect(await records.delete(key, { expect: { version } })).toEqual({ outcome: 'lost' });
        expect(await records.put(key, {}, { expect: { version } })).toEqual({ outcome: 'lost' });
        const check = { op: 'check' as const, key, expect: { version } };
        expect(await records.transact([check])).toEqual({ outcome: 'lost', index: 0 });
        expect((await records.get(key))?.value).toEqual({ new: true });
      });

      test('can be deleted when it is absent', async () => {
        expect(await records.delete(freshKey())).toEqual({ outcome: 'written', version: 0 });
      });
    });

    describe('an expectation', () => {
      const cases = [
        { expect: 'any', absent: 'written', present: 'written' },
        { expect: 'absent', absent: 'written', present: 'lost' },
        { expect: 'present', absent: 'lost', present: 'written' },
        { expect: 'its version', absent: 'lost', present: 'written' },
        { expect: 'the next version', absent: 'lost', present: 'lost' },
      ] as const;
      const expectationOf = async (said: (typeof cases)[number]['expect'], key: RecordKey): Promise<Expect> => {
        if (said !== 'its version' && said !== 'the next version') return said;
        const version = (await records.get(key))?.version ?? 1;
        return { version: said === 'its version' ? version : version + 1 };
      };
      test.each(cases)('of $expect decides put, delete and check', async ({ expect: said, ...outcomes }) => {
        for (const state of ['absent', 'present'] as const) {
          const make = async (): Promise<RecordKey> => {
            const key = freshKey();
            if (state === 'present') await records.put(key, { old: true });
            return key;
          };
          const put = await make();
          const written = await records.put(put, { new: true }, { expect: await expectationOf(said, put) });
          expect(written.outcome).toBe(outcomes[state]);
          const after = outcomes[state] === 'written' ? { new: true } : state === 'present' ? { old: true } : undefined;
          expect((await records.get(put))?.value).toEqual(after);

          const gone = await make();
          const deleted = await records.delete(gone, { expect: await expectationOf(said, gone) });
          expect(deleted.outcome).toBe(outcomes[state]);
          const left = outcomes[state] === 'lost' && state === 'present' ? { old: true } : undefined;
          expect((await records.get(gone))?.value).toEqual(left);

          const key = await make();
          const check: RecordWrite = { op: 'check', key, expect: await expectationOf(said, key) };
          expect((await records.transact([check])).outcome).toBe(outcomes[state]);
        }
      });

      test('of absent lets exactly one of many writers win', async () => {
        const key = freshKey();
        const results = await Promise.all(
          Array.from({ length: 20 }, (_, writer) => records.put(key, { writer }, { expect: 'absent' })),
        );
        expect(results.filter(({ outcome }) => outcome === 'written')).toHaveLength(1);
      });

      test('of a version lets many writers count without losing one', async () => {
        const key = freshKey();
        await records.put(key, { count: 0 });
        const first = await versionOf(key);
        const addOne = async (): Promise<void> => {
          for (;;) {
            const now = await records.get<{ count: number }>(key);
            const next = { count: (now?.value.count ?? 0) + 1 };
            const result = await records.put(key, next, { expect: { version: now?.version ?? 0 } });
            if (result.outcome === 'written') return;
          }
        };
        await Promise.all(Array.from({ length: 8 }, addOne));
        expect(await records.get(key)).toMatchObject({ value: { count: 8 }, version: first + 8 });
      });
    });

    describe('an expired record', () => {
      const expired = async (partition = freshKey().partition): Promise<RecordKey> => {
        const key = { partition, sort: 'expires' };
        await records.put(key, { old: true });
        const first = await versionOf(key);
        const expiresAtMs = clock.nowMs() + 5_000.5;
        await records.put(key, { old: true }, { expiresAtMs });
        expect(await records.get(key)).toMatchObject({ version: first + 1, expiresAtMs });
        clock.advance(5_001);
        return key;
      };

      test('reads as absent', async () => {
        const key = await expired();
        expect(await records.get(key)).toBeUndefined();
        expect((await records.query(key.partition)).records).toEqual([]);
      });

      test.each(['any', 'absent'] as const)('is written anew under expect %s', async (expected) => {
        const key = await expired();
        const result = await records.put(key, { new: true }, { expect: expected });
        const version = await versionOf(key);
        expect(result).toEqual({ outcome: 'written', version });
        expect(await records.get(key)).toEqual({ ...key, value: { new: true }, version });
      });

      test.each(['any', 'absent'] as const)('is written anew by a transaction under expect %s', async (expected) => {
        const keys = [await expired(), freshKey(), freshKey()] as const;
        await records.put(keys[1], {});
        const first = await versionOf(keys[1]);
        const writes = keys.map((key, index) => ({
          op: 'put' as const,
          key,
          value: { new: true },
          expect: index === 1 ? ('present' as const) : expected,
        }));
        expect(await records.transact(writes)).toEqual({ outcome: 'written' });
        for (const key of keys) expect((await records.get(key))?.value).toEqual({ new: true });
        expect(await versionOf(keys[1])).toBe(first + 1);
      });

      test('loses every expectation that it is there', async () => {
        const lastVersion = async (): Promise<[RecordKey, Expect]> => {
          const key = freshKey();
          const written = await records.put(key, {}, { expiresAtMs: clock.nowMs() + 1_000 });
          clock.advance(1_001);
          return [key, { version: written.outcome === 'written' ? written.version : NaN }];
        };
        const present = async (): Promise<[RecordKey, Expect]> => [await expired(), 'present'];
        for (const make of [present, lastVersion]) {
          const [put, isThere] = await make();
          expect(await records.put(put, {}, { expect: isThere })).toEqual({ outcome: 'lost' });
          const [deleted, isStillThere] = await make();
          expect(await records.delete(deleted, { expect: isStillThere })).toEqual({ outcome: 'lost' });
          const [key, expected] = await make();
          expect(await records.transact([{ op: 'check', key, expect: expected }])).toEqual({
            outcome: 'lost',
            index: 0,
          });
        }
      });

      test('does not shorten a page nor end it early', async () => {
        const { partition } = await expired();
        for (const sort of ['a', 'b', 'z']) await records.put({ partition, sort }, {});
        const page = await records.query(partition, { limit: 3 });
        expect(page.records.map(({ sort }) => sort)).toEqual(['a', 'b', 'z']);
        expect(page.cursor).toBeUndefined();
      });

      test('stays when a later write takes its expiry away', async () => {
        const key = freshKey();
        await records.put(key, {}, { expiresAtMs: clock.nowMs() + 1_000 });
        await records.put(key, { kept: true });
        clock.advance(2_000);
        expect(await records.get(key)).toEqual({ ...key, value: { kept: true }, version: await versionOf(key) });
      });
    });

    describe('a query', () => {
      const sorts = ['a', 'a#1', 'a#10', 'a#2', 'aé', 'b', 'z', 'é', '\u{FFFD}', '\u{1F600}'];
      const { partition } = freshKey();
      beforeAll(async () => {
        for (const sort of [...sorts].reverse()) await records.put({ partition, sort }, { sort });
        await records.put({ partition: `${partition}x`, sort: 'a' }, {});
      });
      const found = async (options: Parameters<RecordStore['query']>[1]): Promise<string[]> =>
        (await records.query(partition, options)).records.map(({ sort }) => sort);

      test('gives one partition in the order of UTF-8 bytes', async () => {
        expect(await found({})).toEqual(sorts);
        expect(await found({ reverse: true })).toEqual([...sorts].reverse());
      });

      test('gives whole records', async () => {
        expect((await records.query(partition, { prefix: 'b' })).records).toEqual([
          { partition, sort: 'b', value: { sort: 'b' }, version: await versionOf({ partition, sort: 'b' }) },
        ]);
      });

      test('keeps to a prefix and to open bounds, in any combination', async () => {
        expect(await found({ prefix: 'a#' })).toEqual(['a#1', 'a#10', 'a#2']);
        expect(await found({ after: 'a#2', before: 'z' })).toEqual(['aé', 'b']);
        expect(await found({ after: 'a#15', limit: 2 })).toEqual(['a#2', 'aé']);
        expect(await found({ before: 'a#1' })).toEqual(['a']);
        expect(await found({ prefix: 'a', after: 'a#1', before: 'a#2' })).toEqual(['a#10']);
        expect(await found({ prefix: 'a#', after: 'b' })).toEqual([]);
        expect(await found({ prefix: 'a', before: 'aé', reverse: true, limit: 2 })).toEqual(['a#2', 'a#10']);
        expect(await found({ after: 'z', before: 'a' })).toEqual([]);
        expect(await found({ before: '' })).toEqual([]);
        expect(await found({ prefix: 'nothing' })).toEqual([]);
      });

      test.each([1, 2, 3, 9, 10])('gives everything once over pages of %i', async (limit) => {
        for (const reverse of [false, true]) {
          const seen: string[] = [];
          let cursor: string | undefined;
          do {
            const page = await records.query(partition, {
              limit,
              reverse,
              ...(cursor === undefined ? {} : { cursor }),
            });
            expect(page.records.length).toBeLessThanOrEqual(limit);
            seen.push(...page.records.map(({ sort }) => sort));
            cursor = page.cursor;
          } while (cursor !== undefined);
          expect(seen).toEqual(reverse ? [...sorts].reverse() : sorts);
        }
      });

      test('has no cursor on the last page', async () => {
        expect(await records.query(partition, { limit: sorts.length })).not.toHaveProperty('cursor');
        expect(await records.query(partition, { limit: sorts.length - 1 })).toHaveProperty('cursor');
      });

      test('pages through more than fits in one answer', async () => {
        const large = freshKey().partition;
        const text = 'x'.repeat(300 * 1024);
        await Promise.all(
          Array.from({ length: 20 }, (_, at) => records.put({ partition: large, sort: `${10 + at}` }, { text })),
        );
        const seen: string[] = [];
        let cursor: string | undefined;
        do {
          const page = await records.query(large, cursor === undefined ? {} : { cursor });
          seen.push(...page.records.map(({ sort }) => sort));
          cursor = page.cursor;
        } while (cursor !== undefined);
        expect(seen).toEqual(Array.from({ length: 20 }, (_, at) => `${10 + at}`));
      });

      test.each([{ limit: 0 }, { limit: 1001 }, { limit: 1.5 }, { cursor: 'not ours' }])(
        'refuses %j',
        async (options) => {
          await expect(records.query(partition, options)).rejects.toMatchObject({ code: 'RECORD_QUERY_INVALID' });
        },
      );
    });

    describe('a transaction', () => {
      test('writes all or nothing and names the first lost expectation', async () => {
        const [a, b, c, d] = [freshKey(), freshKey(), freshKey(), freshKey()] as const;
        await records.put(a, { old: true });
        await records.put(d, { old: true });
        const result = await records.transact([
          { op: 'put', key: a, value: { new: true }, expect: { version: await versionOf(a) } },
          { op: 'delete', key: d },
          { op: 'check', key: b, expect: 'present' },
          { op: 'put', key: c, value: { new: true }, expect: 'present' },
        ]);
        expect(result).toEqual({ outcome: 'lost', index: 2 });
        expect(await records.get(a)).toMatchObject({ value: { old: true } });
        expect(await records.get(d)).toBeDefined();
        expect(await records.get(c)).toBeUndefined();
      });

      test('does puts, deletes and checks together, over partitions', async () => {
        const [a, b, c] = [freshKey(), freshKey(), freshKey()] as const;
        await records.put(b, {});
        await records.put(c, {});
        const result = await records.transact([
          { op: 'put', key: a, value: { new: true }, expect: 'absent', expiresAtMs: clock.nowMs() + 60_000 },
          { op: 'delete', key: b, expect: { version: await versionOf(b) } },
          { op: 'check', key: c, expect: 'present' },
        ]);
        expect(result).toEqual({ outcome: 'written' });
        expect(await records.get(a)).toMatchObject({ expiresAtMs: clock.nowMs() + 60_000 });
        expect(await records.get(b)).toBeUndefined();
        expect(await records.get(c)).toBeDefined();
      });

      test('takes a hundred writes and also none', async () => {
        const keys = Array.from({ length: 100 }, freshKey);
        expect(await records.transact(keys.map((key) => ({ op: 'put', key, value: {} })))).toEqual({
          outcome: 'written',
        });
        expect(await records.transact([])).toEqual({ outcome: 'written' });
        expect(await records.get(keys[99] ?? freshKey())).toBeDefined();
      });

      test('never hands out more than there is, however many ask at once', async () => {
        const { partition } = freshKey();
        const pool = { partition, sort: 'pool' };
        await records.put(pool, { left: 5 });
        const take = async (who: number): Promise<boolean> => {
          for (;;) {
            const now = await records.get<{ left: number }>(pool);
            if (now === undefined || now.value.left === 0) return false;
            const result = await records.transact([
              { op: 'put', key: pool, value: { left: now.value.left - 1 }, expect: { version: now.version } },
              { op: 'put', key: { partition, sort: `taken#${who}` }, value: {}, expect: 'absent' },
            ]);
            if (result.outcome === 'written') return true;
          }
        };
        const won = await Promise.all(Array.from({ length: 15 }, (_, who) => take(who)));
        expect(won.filter(Boolean)).toHaveLength(5);
        expect((await records.query(partition, { prefix: 'taken#' })).records).toHaveLength(5);
      });

      test('refuses a hundred and one writes, a key named twice and too many bytes', async () => {
        const put = (key: RecordKey, value: object = {}): RecordWrite => ({ op: 'put', key, value });
        const same = freshKey();
        const code = 'RECORD_TRANSACTION_INVALID';
        await expect(records.transact(Array.from({ length: 101 }, () => put(freshKey())))).rejects.toMatchObject({
          code,
        });
        await expect(records.transact([put(same), { op: 'delete', key: same }])).rejects.toMatchObject({ code });
        const text = 'x'.repeat(370 * 1024);
        await expect(
          records.transact(Array.from({ length: 11 }, () => put(freshKey(), { text }))),
        ).rejects.toMatchObject({
          code: 'RECORD_TOO_LARGE',
        });
        expect(await records.get(same)).toBeUndefined();
      });
    });

    describe('limits', () => {
      test('a value of 380 KiB is kept and one byte more is refused', async () => {
        const key = freshKey();
        const text = 'x'.repeat(380 * 1024 - '{"text":""}'.length);
        await records.put(key, { text });
        expect((await records.get<{ text: string }>(key))?.value.text).toHaveLength(text.length);
        const refused = { code: 'RECORD_TOO_LARGE', kind: 'too-large' };
        await expect(records.put(key, { text: `${text}x` })).rejects.toMatchObject(refused);
      });

      test('keys of 950 bytes are told apart to the last byte', async () => {
        const partition = freshKey().partition.padEnd(950, 'p');
        const sort = 's'.repeat(949);
        await records.put({ partition, sort: `${sort}1` }, { at: 1 });
        await records.put({ partition, sort: `${sort}2` }, { at: 2 });
        expect((await records.get({ partition, sort: `${sort}1` }))?.value).toEqual({ at: 1 });
        expect((await records.query(partition, { prefix: sort, after: `${sort}1` })).records).toHaveLength(1);
      });

      test.each([
        ['an empty sort key', { partition: 'p', sort: '' }],
        ['an empty partition', { partition: '', sort: 's' }],
        ['951 bytes', { partition: 'p', sort: `${'é'.repeat(475)}s` }],
        ['a NUL', { partition: 'p\0', sort: 's' }],
        ['half a surrogate pair', { partition: 'p', sort: 's\uD800' }],
        ['U+10FFFF', { partition: 'p', sort: '\u{10FFFF}' }],
      ])('a key with %s is refused', async (_case, key) => {
        const refused = { code: 'RECORD_KEY_INVALID' };
        await expect(records.get(key)).rejects.toMatchObject(refused);
        await expect(records.put(key, {})).rejects.toMatchObject(refused);
        await expect(records.delete(key)).rejects.toMatchObject(refused);
        await expect(records.transact([{ op: 'check', key, expect: 'any' }])).rejects.toMatchObject(refused);
      });
    });
  });
}

function freshKey(): RecordKey {
  return { partition: `TEST#${randomBytes(12).toString('hex')}`, sort: '-' };
}
