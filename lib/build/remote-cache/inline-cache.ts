/** Records in the config of the image that has the layers, as BuildKit's inline exporter has them: base64 of JSON. */
import type { Layer } from '../plan/steps.js';
import type { KnownStep } from '../solve/solve-input.js';
import { isWritable, recordsOf } from './cache-config.js';

/** The field of the image config. */
export const INLINE_FIELD = 'moby.buildkit.cache.v0';

/** @param layers of the image @returns undefined when no step of these is in the image */
export function inlineCache(known: readonly KnownStep[], layers: readonly Layer[]): string | undefined {
  const numbers = new Map(layers.map(({ descriptor }, i) => [descriptor.digest, i]));
  const inside = known.filter((each) => isWritable(each) && each.inImage && numbers.has(each.step.descriptor.digest));
  if (inside.length === 0) return undefined;
  const records = recordsOf(inside, ({ descriptor }) => numbers.get(descriptor.digest) ?? 0);
  return Buffer.from(JSON.stringify(records)).toString('base64');
}
