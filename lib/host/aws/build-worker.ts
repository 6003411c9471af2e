/**
 * The worker of one build on AWS: the same builder as in the function, with a sandbox. It runs as a task of ECS, in a
 * container with the rights to make containers of its own, takes the build under its lease and ends with it.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { BuildService, BuildWorker, ImageBuilder } from '../../build/index.js';
import { OverlaySandbox } from '../../build/sandbox/sandbox-overlay.js';
import { LayerIndexes, UnpackedLayers } from '../../layers/index.js';
import { parsePlatform } from '../../oci/index.js';
import { Registry } from '../../registry/index.js';
import { BridgeNetwork, openHostScope, ownCgroup, Runc, sweepHost } from '../../runtime/index.js';
import type { Queue } from '../../store/index.js';
import { openAwsImages } from './caches.js';
import type { AwsConfig, STORE_SETTINGS } from './config.js';
import { openRemoteImages } from './remote-images.js';
import { operatorsPolicy } from './source-policy.js';
import { openAwsStore } from './store.js';

export type BuildWorkerConfig = AwsConfig<(typeof STORE_SETTINGS)[number] | 'platform' | 'dockerHub'> &
  Partial<AwsConfig<'sourcePolicy'>>;

/**
 * Builds to the end, or until the signal fires: then the build is handed back with its finished steps kept.
 * @param folder of the worker alone; not on an overlay
 * @returns false when the build is left unfinished
 */
export async function runBuildWorker(
  config: BuildWorkerConfig,
  work: { readonly build: string; readonly folder: string; readonly signal: AbortSignal },
): Promise<boolean> {
  const store = openAwsStore(config);
  const { clock, content, logger } = store;
  await mkdir(work.folder, { recursive: true });
  await ownCgroup();
  const scope = await openHostScope(join(work.folder, 'runtime'));
  const layers = await UnpackedLayers.open({ content }, join(work.folder, 'layers'));
  const network = await BridgeNetwork.open(scope);
  const sandbox = await OverlaySandbox.open({ scope, runc: await Runc.open({ scope, clock }), network, layers });
  const indexes = new LayerIndexes(store);
  const remote = openRemoteImages(store);
  const builder = new ImageBuilder(
    { ...store, images: openAwsImages(store, new Registry(store)), indexes, remote, sandbox },
    {
      platform: parsePlatform(config.platform),
      allowDockerHub: config.dockerHub === 'yes',
      ...operatorsPolicy(config.sourcePolicy),
    },
  );
  const builds = new BuildService({ ...store, queue: noQueue });
  const worker = new BuildWorker({ ...store, queue: noQueue, builds, build: builder.build });
  const stop = (): void => void worker.stop();
  work.signal.addEventListener('abort', stop, { once: true });
  try {
    if (work.signal.aborted) return false;
    logger.info('a worker begins', { build: work.build });
    const isDone = await worker.work(work.build);
    logger.info('a worker ends', { build: work.build, isDone });
    return isDone;
  } finally {
    work.signal.removeEventListener('abort', stop);
    await sweepHost({ scope, clock }, new Set());
  }
}

/** The build came by its id; no message is to be renewed or sent. */
const noQueue: Queue = {
  send: () => Promise.resolve(),
  receive: () => Promise.resolve([]),
  acknowledge: () => Promise.resolve(),
  extend: () => Promise.resolve(),
  deadLetters: () => Promise.resolve([]),
};
