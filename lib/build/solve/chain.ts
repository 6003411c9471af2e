/** A chain: the layers a step or an image stands on, from the bottom up, and what is known of them together. */
import type { CachedStep } from './step-cache.js';
import type { Layer, StageBase } from '../plan/steps.js';

export interface Chain {
  readonly layers: readonly Layer[];
  readonly newestSeconds: number;
  /** Whether every layer came from the cache by its definition key. */
  readonly known: boolean;
  /** Whether a layer came from a cache of the request, or was made by one that did. */
  readonly imported: boolean;
}

export interface StepResult {
  readonly step: CachedStep;
  readonly known: boolean;
  readonly imported: boolean;
}

export const NO_LAYERS: Chain = { layers: [], newestSeconds: 0, known: true, imported: false };

/** What an image is: its layers, as new as it was `created`. */
export function imageChain({ image }: StageBase & { readonly kind: 'image' }): Chain {
  const { created: text } = image.config;
  const created = typeof text === 'string' ? Date.parse(text) : Number.NaN;
  const newestSeconds = Number.isNaN(created) ? 0 : Math.max(0, Math.floor(created / 1000));
  return { layers: image.layers, newestSeconds, known: true, imported: false };
}

export function extend(base: Chain, results: readonly StepResult[]): Chain {
  return {
    layers: [...base.layers, ...results.map(({ step }) => layerOf(step))],
    newestSeconds: Math.max(base.newestSeconds, ...results.map(({ step }) => step.newestSeconds)),
    known: base.known && results.every(({ known }) => known),
    imported: base.imported || results.some(({ imported }) => imported),
  };
}

/** Without what is known of the step beside it. */
export function layerOf({ diffId, descriptor, origin }: Layer): Layer {
  return { diffId, descriptor, ...(origin === undefined ? {} : { origin }) };
}
