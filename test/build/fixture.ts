/** A store, a registry and a builder on a fresh folder, and contexts made from plain objects. */
import { readFile } from 'node:fs/promises';
import {
  createBuilds,
  ImageBuilder,
  type ImageBuilderOptions,
  type RemoteImages,
  type Sandbox,
} from '../../lib/build/index.js';
import type { BuildEvent, BuildReport, BuildRequest, BuildResult, BuildService } from '../../lib/build/index.js';
import {
  comparePaths,
  ImageTree,
  type LayerEntry,
  LayerIndexes,
  type TarMember,
  writeLayer,
  writeTar,
} from '../../lib/layers/index.js';
import {
  type Digest,
  digestOf,
  MediaType,
  parseImageConfig,
  type ImageConfig,
  parseManifestDocument,
} from '../../lib/oci/index.js';
import { RegistryLogins } from '../../lib/registry/client/index.js';
import { Registry } from '../../lib/registry/index.js';
import { RecordsQueue } from '../../lib/store/records/queue-records.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';

/** 2024-05-06T07:08:09Z: what the files of a context are dated unless they say otherwise. */
export const FILE_TIME = 1_714_979_289;
/** 2024-01-02T03:04:05Z: `created` of the base image. */
export const BASE_CREATED = '2024-01-02T03:04:05Z';
export const BASE_TIME = Date.parse(BASE_CREATED) / 1000;

export type Spec =
  | string
  | {
      readonly content?: string | Uint8Array;
      readonly mode?: number;
      readonly uid?: number;
      readonly gid?: number;
      readonly mtime?: number;
      readonly symlink?: string;
      readonly hardlink?: string;
      readonly directory?: true;
    };
export type Files = Readonly<Record<string, Spec>>;

/** Members in the order of layers; folders only where the files name them (`'dir/': {}`). */
export function membersOf(files: Files, time = FILE_TIME): TarMember[] {
  return Object.entries(files)
    .map(([name, spec]): TarMember => {
      const given = typeof spec === 'string' ? { content: spec } : spec;
      const directory = name.endsWith('/');
      const bytes = Buffer.from(given.content ?? '');
      const link = given.symlink ?? given.hardlink;
      const type = directory
        ? 'directory'
        : given.symlink !== undefined
          ? 'symlink'
          : given.hardlink !== undefined
            ? 'hardlink'
            : 'file';
      const entry: LayerEntry = {
        path: name.replace(/\/$/, ''),
        type,
        mode: given.mode ?? (directory ? 0o755 : type === 'symlink' ? 0o777 : 0o644),
        uid: given.uid ?? 0,
        gid: given.gid ?? 0,
        mtimeSeconds: given.mtime ?? time,
        sizeBytes: type === 'file' ? bytes.length : 0,
        ...(link === undefined ? {} : { linkTarget: link }),
      };
      return { entry, body: once(bytes) };
    })
    .sort((a, b) => comparePaths(a.entry.path, b.entry.path));
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}

export interface Listed {
  readonly path: string;
  readonly type: string;
  readonly mode: string;
  readonly owner: string;
  readonly mtime: number;
  readonly link?: string;
  readonly content?: string;
}

/** Values by id. */
export type Secrets = ReadonlyMap<string, string>;

export interface BuildFixture {
  readonly store: TestStore;
  readonly registry: Registry;
  readonly queue: RecordsQueue;
  readonly builds: BuildService;
  readonly builder: ImageBuilder;
  readonly indexes: LayerIndexes;
  readonly logins: RegistryLogins;
  /** Stores a context and gives its digest. */
  context(files: Files, time?: number): Promise<Digest>;
  /** Builds without queue and worker. */
  build(files: Files, request?: Partial<BuildRequest>, time?: number, secrets?: Secrets): Promise<Built>;
  /** A request that builds nothing. */
  report(files: Files, request: Partial<BuildRequest>): Promise<{ report: BuildReport; events: readonly BuildEvent[] }>;
  /** Pushes an image of one layer. */
  push(tag: string, files: Files, config?: object): Promise<void>;
  config(imageId: Digest): Promise<ImageConfig>;
  /** The merged tree of an image. */
  tree(digest: Digest, repository?: string): Promise<ImageTree>;
  /** Entries of one layer, in its order. */
  layer(digest: Digest): Promise<Listed[]>;
  close(): Promise<void>;
}

export interface Built {
  readonly result: BuildResult;
  readonly events: readonly BuildEvent[];
}

export interface FixtureOptions extends Partial<ImageBuilderOptions> {
  readonly sandbox?: (store: TestStore) => Promise<Sandbox>;
  readonly remote?: (store: TestStore, logins: RegistryLogins) => RemoteImages;
}

export async function buildFixture(options: FixtureOptions = {}): Promise<BuildFixture> {
  const store = await createTestStore();
  try {
    return await fixtureOf(store, options);
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function fixtureOf(store: TestStore, options: FixtureOptions): Promise<BuildFixture> {
  const { records, content, clock, ids } = store;
  const secrets = new RecordsSecretStore(records, { key: Buffer.alloc(32, 7) });
  const registry = new Registry({ records, content, secrets, clock, ids });
  const queue = new RecordsQueue(records, { clock, ids }, { name: 'builds' });
  const indexes = new LayerIndexes({ content, records });
  const sandbox = await options.sandbox?.(store);
  const logins = new RegistryLogins(secrets);
  const remote = options.remote?.(store, logins);
  const builder = new ImageBuilder(
    {
      records,
      content,
      images: registry,
      indexes,
      clock,
      ids,
      ...(sandbox === undefined ? {} : { sandbox }),
      ...(remote === undefined ? {} : { remote }),
    },
    { platform: { os: 'linux', architecture: 'amd64' }, ...options },
  );
  const builds = createBuilds({ records, content, queue, clock, ids });
  const context = async (files: Files, time?: number): Promise<Digest> =>
    (await content.put(writeTar(membersOf(files, time)))).digest;

  return {
    store,
    registry,
    queue,
    builds,
    builder,
    indexes,
    logins,
    context,
    async build(files, request = {}, time, secrets = new Map()) {
      const events: BuildEvent[] = [];
      const call = {
        id: ids.ulid(),
        emit: (event: BuildEvent) => void events.push(event),
        signal: new AbortController().signal,
        secrets: new Map([...secrets].map(([name, value]) => [name, Buffer.from(value)])),
      };
      const result = await builder.build({ context: await context(files, time), tags: ['app'], ...request }, call);
      if ('kind' in result) throw new Error(`a build was wanted, and a ${result.kind} came`);
      return { result, events };
    },
    async report(files, request) {
      const events: BuildEvent[] = [];
      const call = {
        id: ids.ulid(),
        emit: (event: BuildEvent) => void events.push(event),
        signal: new AbortController().signal,
      };
      const report = await builder.build({ context: await context(files), tags: ['app'], ...request }, call);
      if (!('kind' in report)) throw new Error('a report was wanted, and an image came');
      return { report, events };
    },
    async push(tag, files, config = {}) {
      const layer = await writeLayer(membersOf(files, BASE_TIME), { content });
      const image = {
        created: BASE_CREATED,
        architecture: 'amd64',
        os: 'linux',
        config: { Env: ['PATH=/bin'], Cmd: ['sh'], ...config },
        rootfs: { type: 'layers', diff_ids: [layer.diffId] },
        history: [{ created: BASE_CREATED, created_by: 'made by hand' }],
      };
      const bytes = Buffer.from(JSON.stringify(image));
      await content.putBytes(bytes);
      const [repository = '', name = 'latest'] = tag.split(':');
      await registry.linkBlob(repository, digestOf(bytes));
      await registry.linkBlob(repository, layer.descriptor.digest);
      const manifest = {
        schemaVersion: 2,
        mediaType: MediaType.ociManifest,
        config: { mediaType: MediaType.ociConfig, digest: digestOf(bytes), size: bytes.length },
        layers: [layer.descriptor],
      };
      await registry.putManifest(repository, Buffer.from(JSON.stringify(manifest)), MediaType.ociManifest, [name]);
    },
    async config(imageId) {
      return parseImageConfig((await content.read(imageId)) ?? Buffer.alloc(0));
    },
    async tree(digest, repository = 'app') {
      const stored = await registry.manifest(repository, { digest });
      const document = parseManifestDocument(stored?.bytes ?? Buffer.alloc(0), stored?.mediaType ?? '');
      if (document.kind !== 'manifest') throw new Error('not a manifest');
      const config = parseImageConfig((await content.read(document.manifest.config.digest)) ?? Buffer.alloc(0));
      let tree = ImageTree.empty(content);
      for (const [i, descriptor] of document.manifest.layers.entries()) {
        const diffId = config.rootfs.diff_ids[i];
        if (diffId === undefined) throw new Error('more layers than diff ids');
        tree = tree.withLayer(await indexes.get({ descriptor, diffId }));
      }
      return tree;
    },
    async layer(digest) {
      const { readLayer } = await import('../../lib/layers/index.js');
      const { sizeBytes } = (await content.stat(digest)) ?? { sizeBytes: 0 };
      const listed: Listed[] = [];
      for await (const { entry, body } of readLayer(content, {
        mediaType: MediaType.ociLayerGzip,
        digest,
        size: sizeBytes,
      })) {
        const chunks: Uint8Array[] = [];
        for await (const chunk of body) chunks.push(chunk);
        listed.push({
          path: entry.path,
          type: entry.type,
          mode: entry.mode.toString(8),
          owner: `${entry.uid}:${entry.gid}`,
          mtime: entry.mtimeSeconds,
          ...(entry.linkTarget === undefined ? {} : { link: entry.linkTarget }),
          ...(entry.type === 'file' ? { content: Buffer.concat(chunks).toString() } : {}),
        });
      }
      return listed;
    },
    async close() {
      await store.close();
    },
  };
}

/** Text of a file of an image. */
export async function textOf(tree: ImageTree, path: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of tree.readFile(path)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const APPLETS =
  'sh ls cat id env sleep echo dd grep httpd nc ip touch rm test printf hostname true false kill wget tail sed ln ' +
  'mkdir chmod chown cp mv stat adduser wc sort tr find readlink date mknod';

/** The machine's own busybox as an image, with a passwd and a group. */
export async function busyboxFiles(): Promise<Files> {
  const files: Record<string, Spec> = {
    'bin/': {},
    'bin/busybox': { content: await readFile('/bin/busybox'), mode: 0o755 },
    'etc/': {},
    'etc/passwd': 'root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n',
    'etc/group': 'root:x:0:\napp:x:1000:\nstaff:x:50:\n',
    'dev/': {},
    'proc/': {},
    'sys/': {},
    'tmp/': { mode: 0o1777 },
    'root/': { mode: 0o700 },
  };
  for (const applet of APPLETS.split(' ')) files[`bin/${applet}`] = { symlink: 'busybox' };
  return files;
}

/** The error a promise fails with. */
export async function failure(
  promise: Promise<unknown>,
): Promise<Error & { code?: string; hint?: string; details?: Record<string, unknown> }> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('it did not fail');
}
