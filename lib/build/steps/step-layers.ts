/** Writes what a step changed as a layer, and remembers of it what later builds want to know. */
import {
  isWhiteout,
  type LayerIndexes,
  type LayerSegmentStore,
  segmentsCoder,
  type TarMember,
  writeLayer,
} from '../../layers/index.js';
import type { Digest } from '../../oci/index.js';
import type { ContentStore } from '../../store/index.js';
import type { CachedStep } from '../solve/step-cache.js';
import type { BuildCompression } from '../types.js';

export interface StepLayersDeps {
  readonly content: ContentStore;
  readonly indexes: LayerIndexes;
  readonly segments: LayerSegmentStore;
}

export interface LayerRules {
  /** Of the layer; gzip when absent. */
  readonly compression?: BuildCompression;
  /** What the step gave last time: where its layer comes out as that one was, it is not compressed again. */
  readonly like?: Digest;
  readonly signal: AbortSignal;
}

export class StepLayers {
  constructor(private readonly deps: StepLayersDeps) {}

  async write(members: AsyncIterable<TarMember>, { signal, compression, like }: LayerRules): Promise<CachedStep> {
    let newestSeconds = 0;
    const watched = async function* (): AsyncGenerator<TarMember, void, undefined> {
      for await (const member of members) {
        signal.throwIfAborted();
        const { path, mtimeSeconds } = member.entry;
        if (!isWhiteout(path)) newestSeconds = Math.max(newestSeconds, mtimeSeconds);
        yield member;
      }
    };
    const { content, indexes, segments } = this.deps;
    const { type = 'gzip', level } = compression ?? {};
    const options = { compression: type, ...(level === undefined ? {} : { level }) };
    const coder = segmentsCoder(options);
    const known = coder === undefined || like === undefined ? undefined : await segments.open(like, coder);
    try {
      const reuse = known === undefined ? {} : { known };
      const written = await writeLayer(watched(), { content, signal, ...options, ...reuse });
      await indexes.put(written.index);
      if (written.segments !== undefined) await segments.put(written.diffId, written.segments);
      return { diffId: written.diffId, descriptor: written.descriptor, newestSeconds };
    } finally {
      await known?.close();
    }
  }
}
