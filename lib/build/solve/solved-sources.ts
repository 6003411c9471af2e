/**
 * What steps read, once it is made or at hand: as a tree of files, as layers, and as the content key that follows from
 * it. The Solver says which layers a stage has come to.
 */
import { completeChangeset, type ImageTree, writeLayer } from '../../layers/index.js';
import type { Chain } from './chain.js';
import { type HashedFiles, hashFiles } from '../steps/file-hashes.js';
import { chainKey, type KeyInputs, stepKey } from '../keys/keys.js';
import type { LayerTrees } from './layer-trees.js';
import { type FileHashes, type HashOf, identify, SourceMissing } from '../keys/selection.js';
import type { SolverDeps } from './solve-input.js';
import type { SourceAtHand, SourcesAtHand } from './sources-at-hand.js';
import type { Layer, SourceRef, Step } from '../plan/steps.js';

export interface SolvedSourcesDeps extends Pick<SolverDeps, 'content' | 'indexes'> {
  readonly trees: LayerTrees;
  readonly atHand: SourcesAtHand;
  /** What a stage or an image has come to. */
  readonly chain: (source: SourceRef) => Promise<Chain>;
}

export class SolvedSources {
  private readonly contextLayers = new Map<string, Promise<Layer>>();

  constructor(
    private readonly deps: SolvedSourcesDeps,
    private readonly scope: string,
    private readonly signal: AbortSignal,
  ) {}

  async tree(source: SourceRef): Promise<ImageTree> {
    if (source.from === 'context' || source.from === 'remote') return this.deps.atHand.tree(source);
    return this.deps.trees.of((await this.deps.chain(source)).layers);
  }

  async layers(source: SourceRef): Promise<readonly Layer[]> {
    if (source.from !== 'context') return (await this.deps.chain(source)).layers;
    const known = this.contextLayers.get(source.context ?? '') ?? this.writeContext(source);
    this.contextLayers.set(source.context ?? '', known);
    return [await known];
  }

  /**
   * The key over what the inputs turned out to be.
   * @param hashes of the files, when they were just copied; otherwise they are read
   * @returns undefined when a file's hash is not at hand
   */
  async contentKey(step: Step, below: Chain, hashes?: HashedFiles): Promise<string | undefined> {
    const select: KeyInputs['select'] = async (selection, exclude) => {
      const { source } = selection;
      if (source.from === 'context' || source.from === 'remote') {
        return (await this.deps.atHand.identify(step, selection, exclude)).digest;
      }
      const chain = await this.deps.chain(source);
      if (step.op.kind === 'run') return chainKey(chain.layers.map(({ diffId }) => diffId));
      const tree = await this.deps.trees.of(chain.layers);
      const known: FileHashes =
        hashes === undefined ? (files) => hashFiles(tree, files, this.signal) : given(hashes.of(tree));
      return (await identify(tree, selection, exclude, known)).digest;
    };
    const parent = chainKey(below.layers.map(({ diffId }) => diffId));
    try {
      return (await stepKey(step, { scope: this.scope, parent, select })).key;
    } catch (error) {
      // Missing sources are told by the copy itself; a hash that is not at hand only means no second key.
      if (error instanceof SourceMissing || error instanceof HashMissing) return undefined;
      throw error;
    }
  }

  /** A context as a layer, for a bind mount. */
  private async writeContext(source: SourceAtHand): Promise<Layer> {
    const { content, indexes, atHand } = this.deps;
    const tree = await atHand.tree(source);
    const members = completeChangeset(tree.readMembers(tree.walk()), tree);
    const written = await writeLayer(members, { content, compression: 'none', signal: this.signal });
    await indexes.put(written.index);
    return { diffId: written.diffId, descriptor: written.descriptor };
  }
}

class HashMissing extends Error {}

function given(hashOf: HashOf): FileHashes {
  return async (files) => {
    for (const file of files) if (hashOf(file) === undefined) throw new HashMissing();
    return hashOf;
  };
}
