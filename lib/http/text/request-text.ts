/** Parts of a build request in the short form that queries and command lines have. */
import type { BuildAnnotations, BuildCompression } from '../../build/index.js';

/** `NAME=value`, which may hold more equals signs. */
export function pairsOf(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(texts.map((text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]));
}

/** @param text `zstd:3`, checked by the schema of the query or of the request */
export function compressionOf(text: string): BuildCompression {
  const [type = '', level] = text.split(':');
  return { type: type as BuildCompression['type'], ...(level === undefined ? {} : { level: Number(level) }) };
}

const PLACE = /^(manifest-descriptor|manifest|index-descriptor|index):/;

/** `index:name=value`; without a place it is the manifest's. */
export function annotationsOf(texts: readonly string[]): BuildAnnotations {
  const of = (place: string): Record<string, string> | undefined => {
    const own = texts.filter((text) => (PLACE.exec(text)?.[1] ?? 'manifest') === place);
    return own.length === 0 ? undefined : pairsOf(own.map((text) => text.replace(PLACE, '')));
  };
  const [manifest, index] = [of('manifest'), of('index')];
  const [manifestDescriptor, indexDescriptor] = [of('manifest-descriptor'), of('index-descriptor')];
  return {
    ...(manifest === undefined ? {} : { manifest }),
    ...(index === undefined ? {} : { index }),
    ...(manifestDescriptor === undefined ? {} : { manifestDescriptor }),
    ...(indexDescriptor === undefined ? {} : { indexDescriptor }),
  };
}
