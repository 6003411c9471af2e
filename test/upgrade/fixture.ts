/**
 * What a store of an earlier version held, as one JSON file: every record with its key and value, and the files beside
 * them. Written by `record.ts`, once per version; read into a fresh store by the tests.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { RecordKey, RecordWrite } from '../../lib/store/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';

export interface StoreFixture {
  readonly schema: number;
  /** When it was written, in epoch milliseconds: its readers live then. */
  readonly recordedMs: number;
  /** What the world had told its users, such as tokens and ids. */
  readonly told: Readonly<Record<string, string>>;
  readonly records: readonly (RecordKey & { readonly value: object; readonly expires?: true })[];
  /** Below the store's folder, in base64. */
  readonly files: Readonly<Record<string, string>>;
}

export function fixturePath(schema: number): string {
  return new URL(`../golden/records/v${schema}.json`, import.meta.url).pathname;
}

export async function readFixture(schema: number): Promise<StoreFixture> {
  return JSON.parse(await readFile(fixturePath(schema), 'utf8')) as StoreFixture;
}

const HOUR_MS = 3600 * 1000;

/** A store as that version left it. */
export async function storeOf({ recordedMs, records, files }: StoreFixture): Promise<TestStore> {
  // Deployments and uploads of long ago would have been given up.
  const aheadMs = systemClock.nowMs() - recordedMs;
  const clock = { ...systemClock, nowMs: () => systemClock.nowMs() - aheadMs };
  const store = await createTestStore({ clock });
  for (const [path, content] of Object.entries(files)) {
    const file = join(store.directory, 'store', path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, Buffer.from(content, 'base64'));
  }
  for (const { partition, sort, value, expires } of records) {
    // What was to go after a while would all have gone by now.
    const options = expires === true ? { expiresAtMs: store.clock.nowMs() + HOUR_MS } : {};
    await store.records.put({ partition, sort }, value, options);
  }
  return store;
}

/** A store that remembers which keys were written, since nothing lists them. */
export async function recordedStore(): Promise<{
  readonly store: TestStore;
  readonly dump: (schema: number, told: StoreFixture['told']) => Promise<StoreFixture>;
}> {
  const store = await createTestStore();
  const keys = new Map<string, RecordKey>();
  const note = ({ partition, sort }: RecordKey): unknown => keys.set(`${partition}\n${sort}`, { partition, sort });
  const records = new Proxy(store.records, {
    get(target, member) {
      const inner: unknown = Reflect.get(target, member);
      if (typeof inner !== 'function') return inner;
      return (...given: unknown[]) => {
        const [first] = given;
        if (member === 'put') note(first as RecordKey);
        if (member === 'transact') (first as readonly RecordWrite[]).forEach(({ key }) => note(key));
        return Reflect.apply(inner, target, given) as unknown;
      };
    },
  });
  const content = new (store.content.constructor as new (...parts: unknown[]) => TestStore['content'])(
    store.blobs,
    records,
    store.clock,
  );
  return {
    store: { ...store, records, content, close: () => store.close() },
    dump: async (schema, told) => {
      const held = await Promise.all([...keys.values()].map((key) => store.records.get<object>(key)));
      return {
        schema,
        recordedMs: store.clock.nowMs(),
        told,
        records: held
          .flatMap((record) => (record === undefined || record.partition.startsWith('LEASE#') ? [] : [record]))
          .map(({ partition, sort, value, expiresAtMs }) => ({
            ...{ partition, sort, value },
            ...(expiresAtMs === undefined ? {} : { expires: true as const }),
          }))
          .sort((a, b) => (`${a.partition}\n${a.sort}` < `${b.partition}\n${b.sort}` ? -1 : 1)),
        files: await filesBelow(join(store.directory, 'store')),
      };
    },
  };
}

async function filesBelow(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const own = files.filter((file) => !relative(folder, file).startsWith('records/')).sort();
  return Object.fromEntries(
    await Promise.all(
      own.map(async (file) => [relative(folder, file), (await readFile(file)).toString('base64')] as const),
    ),
  );
}
