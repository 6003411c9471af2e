/** A chain: the layers a step or an image stands on, from the bottom up, and what is known of them together. */
import type { CachedStep } from './step-cache.js';
import type { Layer, StageBase } from '../plan/steps.js';

export interface Chain {
  readonly layers: readonly Layer[];
  readonly newestSeconds: number;
  /** Whether every layer came from the cache by its definition key. */
  readonly known: boolean;
}

export interface StepResult {
  readonly step: CachedStep;
  readonly known: boolean;
}

export const NO_LAYERS: Chain = { layers: [], newestSeconds: 0, known: true };

/** What an image is: its layers, as new as it was `created`. */
export function imageChain({ image }: StageBase & { readonly kind: 'image' }): Chain {
  const { created: text } = image.config;
  const created = typeof text === 'string' ? Date.parse(text) : Number.NaN;
  const newestSeconds = Number.isNaN(created) ? 0 : Math.max(0, Math.floor(created / 1000));
  return { layers: image.layers, newestSeconds, known: true };
}

export function extend(base: Chain, results: readonly StepResult[]): Chain {
  return {
    layers: [...base.layers, ...results.map(({ step }) => ({ diffId: step.diffId, descriptor: step.descriptor }))],
    newestSeconds: Math.max(base.newestSeconds, ...results.map(({ step }) => step.newestSeconds)),
    known: base.known && results.every(({ known }) => known),
  };
}
