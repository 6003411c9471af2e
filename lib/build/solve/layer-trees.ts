/** The merged trees of chains of layers, each made once in a build, from the one below and one layer's index. */
import { ImageTree, type LayerIndex } from '../../layers/index.js';
import { chainKey } from '../keys/keys.js';
import type { SolverDeps } from './solve-input.js';
import type { Layer } from '../plan/steps.js';

export class LayerTrees {
  private readonly trees = new Map<string, Promise<ImageTree>>();

  constructor(
    private readonly deps: Pick<SolverDeps, 'content' | 'indexes' | 'fetchLayers'>,
    private readonly signal: AbortSignal,
  ) {}

  of(layers: readonly Layer[]): Promise<ImageTree> {
    const last = layers.at(-1);
    if (last === undefined) return Promise.resolve(ImageTree.empty(this.deps.content));
    const key = chainKey(layers.map(({ diffId }) => diffId));
    const known = this.trees.get(key) ?? this.make(layers.slice(0, -1), last);
    this.trees.set(key, known);
    return known;
  }

  private async make(lower: readonly Layer[], last: Layer): Promise<ImageTree> {
    const indexed = async (): Promise<LayerIndex> => {
      await this.deps.fetchLayers([last], this.signal);
      return this.deps.indexes.get(last);
    };
    const [below, index] = await Promise.all([this.of(lower), indexed()]);
    return below.withLayer(index);
  }
}
