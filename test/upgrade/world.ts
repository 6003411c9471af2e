/** A platform, a registry and builds over one store: what writes the records of a fixture, and what reads them. */
import { BuildService, BuildWorker } from '../../lib/build/index.js';
import { digestOf, MediaType } from '../../lib/oci/index.js';
import { silentLogger } from '../../lib/store/index.js';
import { RecordsQueue } from '../../lib/store/records/queue-records.js';
import type { TestStore } from '../fakes/embedded-store.js';
import { createPlatformFixture, type PlatformFixture } from '../platform/platform-fixture.js';
import { type RunningRegistry, startTestRegistry } from '../protocol/registry/registry-server.js';
import { Wire } from '../protocol/registry/wire.js';

export interface World {
  readonly platform: PlatformFixture;
  readonly registry: RunningRegistry;
  readonly builds: BuildService;
  /** Takes every message that waits; each build makes the same image. */
  buildAll(): Promise<void>;
  /** The registry's protocol, by this token. */
  wire(token: string): Wire;
  close(): Promise<void>;
}

export const LAYER = Buffer.from('a layer of an earlier version');
export const CONFIG = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers' } }));
const part = (mediaType: string, bytes: Buffer) => ({ mediaType, digest: digestOf(bytes), size: bytes.length });
export const MANIFEST = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config: part(MediaType.ociConfig, CONFIG),
    layers: [part('application/vnd.oci.image.layer.v1.tar', LAYER)],
  }),
);

export async function openWorld(store: TestStore, deployable: readonly string[]): Promise<World> {
  const platform = await createPlatformFixture({ store });
  // Their digests follow from their names.
  for (const name of deployable) await platform.images.add(name, { label: name });
  const registry = await startTestRegistry(store);
  const queue = new RecordsQueue(store.records, store, { name: 'builds' });
  const builds = new BuildService({ ...store, queue });
  return {
    platform,
    registry,
    builds,
    wire: (token) => new Wire({ url: registry.url, tokens: { admin: token, deploy: '', read: '' } }),
    async buildAll() {
      const build = () =>
        Promise.resolve({
          digest: digestOf(MANIFEST),
          mediaType: MediaType.ociManifest,
          tags: [],
          images: [],
        } as never);
      const worker = new BuildWorker({ ...store, queue, builds, logger: silentLogger, build });
      for (;;) {
        const [message] = await queue.receive({ max: 1, visibilitySeconds: 30, waitSeconds: 0 });
        if (message === undefined) return;
        await worker.handle(message);
      }
    },
    async close() {
      await registry.close();
      await platform.close();
    },
  };
}
