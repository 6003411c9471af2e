/**
 * Solves a plan: computes every key, asks the cache for all of them at once, and then makes only what the target needs
 * and the cache has not. A stage whose consumers all hit is never touched; independent stages run side by side.
 */
import { AppError } from '../errors/index.js';
import {
  completeChangeset,
  ImageTree,
  type LayerIndex,
  type LayerIndexes,
  type TreeEntry,
  writeLayer,
} from '../layers/index.js';
import type { Digest } from '../oci/index.js';
import type { ContentStore } from '../store/index.js';
import type { EmitEvent } from './build-log.js';
import { withPlace } from './build-errors.js';
import { type SingleFlight, Slots } from './concurrency.js';
import type { BuildContext } from './context.js';
import { hashParts, type KeyPart } from './framing.js';
import { chainKey, isLinked, type KeyInputs, type StepKey, stepKey } from './keys.js';
import type { Plan, StagePlan } from './plan.js';
import { type Preview, previewPlan } from './plan-preview.js';
import type { BuildSecretValues } from './build-secrets.js';
import type { RemoteFiles } from './remote-files.js';
import { type FileHashes, identify, SourceMissing } from './selection.js';
import { type SourceAtHand, SourcesAtHand } from './sources-at-hand.js';
import type { CachedStep, StepCache } from './step-cache.js';
import type { Execution, StepExecutor } from './step-executor.js';
import { hashFiles } from './file-hashes.js';
import type { Layer, RemoteRef, SourceRef, StageBase, Step } from './steps.js';
import type { BuildCompression, BuildStepSummary } from './types.js';

export interface SolverDeps {
  readonly content: ContentStore;
  readonly indexes: LayerIndexes;
  readonly cache: StepCache;
  readonly executor: StepExecutor;
  readonly flights: SingleFlight<CachedStep>;
  readonly now: () => number;
  /** Brings layers of other registries into the store. */
  readonly fetchLayers: (layers: readonly Layer[], signal: AbortSignal) => Promise<void>;
}

export interface SolveInput {
  readonly plan: Plan;
  readonly context: BuildContext;
  /** Tenant of the cache. */
  readonly scope: string;
  /** Place of the Dockerfile in the cache's memory, for the reason of a miss. */
  readonly slot: string;
  /** Steps that are not looked up. */
  readonly uncached: (step: Step) => boolean;
  /** Steps this build made, by definition key: what several platforms share is made once. */
  readonly made: Map<string, CachedStep>;
  /** Names the build: what it does without the cache is shared with no other. */
  readonly buildId: string;
  readonly compression?: BuildCompression;
  /** Steps at once. */
  readonly parallelism: number;
  readonly emit: EmitEvent;
  readonly signal: AbortSignal;
  /** Fetches what ADD names on the network. */
  readonly remote: (remote: RemoteRef, signal: AbortSignal) => Promise<RemoteFiles>;
  /** Opens another context of the request. */
  readonly openContext: (context: Digest, signal: AbortSignal) => Promise<BuildContext>;
  /** Values of secret mounts. */
  readonly secrets: BuildSecretValues;
}

export interface Solution {
  /** Of the target, from the bottom up. */
  readonly layers: readonly Layer[];
  readonly baseLayers: number;
  /** Newest time in what the image is made of, in seconds. */
  readonly newestSeconds: number;
  readonly steps: readonly BuildStepSummary[];
}

interface Chain {
  readonly layers: readonly Layer[];
  readonly newestSeconds: number;
  /** Whether every layer came from the cache by its definition key. */
  readonly known: boolean;
}

interface StepResult {
  readonly step: CachedStep;
  readonly known: boolean;
}

export class Solver {
  private readonly keys = new Map<number, StepKey>();
  /** Key of a stage as it stands after a step. */
  private readonly standing = new Map<number, string>();
  private readonly files = new Map<number, ReadonlyMap<string, string>>();
  private readonly hits = new Map<number, CachedStep>();
  private readonly results = new Map<number, Promise<StepResult>>();
  private readonly summaries = new Map<number, BuildStepSummary>();
  private readonly trees = new Map<string, Promise<ImageTree>>();
  private readonly slots: Slots;
  private readonly stop = new AbortController();
  private readonly signal: AbortSignal;
  private readonly atHand: SourcesAtHand;
  private readonly contextLayers = new Map<string, Promise<Layer>>();

  constructor(
    private readonly deps: SolverDeps,
    private readonly input: SolveInput,
  ) {
    this.slots = new Slots(input.parallelism);
    this.signal = AbortSignal.any([input.signal, this.stop.signal]);
    this.atHand = new SourcesAtHand(
      input.context,
      (remote) => input.remote(remote, this.signal),
      (context) => input.openContext(context, this.signal),
    );
  }

  async solve(): Promise<Solution> {
    const { plan } = this.input;
    try {
      await this.lookUpAll();
      for (const [number, hit] of this.hits) this.tellCached(this.step(number), hit);
      const { layers, newestSeconds } = await this.chain(plan.target);
      const steps = plan.steps.flatMap((step) => this.summaries.get(step.number) ?? []);
      return { layers, baseLayers: this.baseLayers(plan.target), newestSeconds, steps };
    } catch (error) {
      // The first failure ends the others; nothing of this build runs on when it is reported.
      this.stop.abort(error);
      await Promise.allSettled(this.results.values());
      await this.atHand.settle();
      throw error;
    }
  }

  /** What `solve` would do; nothing is made, and nothing is told. */
  async preview(): Promise<Preview> {
    await this.lookUpAll();
    const { plan, context } = this.input;
    return previewPlan({
      plan,
      hit: (step) => this.hits.get(step.number),
      sources: sourcesOf,
      reason: (step) => this.reason(step),
      contextBytes: (step) => {
        const paths = [...(this.files.get(step.number)?.keys() ?? [])];
        return paths.reduce((sum, path) => sum + (context.tree.exact(path)?.sizeBytes ?? 0), 0);
      },
    });
  }

  /** Definition keys of all steps, in the order of the file: a parent's key is known before its child's. */
  private async computeKeys(): Promise<void> {
    this.atHand.begin(this.input.plan.steps.flatMap(sourcesOf));
    for (const stage of this.input.plan.stages.values()) {
      let parent = this.stageBaseKey(stage.base);
      for (const step of stage.steps) {
        this.signal.throwIfAborted();
        const { key } = await this.definitionKey(step, parent);
        // A linked layer knows nothing of what is below it; what comes after stands on both.
        parent = isLinked(step) ? hashParts('wharf.link.v1', [below(parent), { name: 'layer', value: key }]) : key;
        this.standing.set(step.number, parent);
      }
    }
  }

  private async definitionKey(step: Step, parent: string): Promise<StepKey> {
    const files = new Map<string, string>();
    const select: KeyInputs['select'] = async (selection, exclude) => {
      const { source } = selection;
      if (source.from === 'stage' || source.from === 'image') return this.sourceKey(source);
      const { digest, entries } = await this.atHand.identify(step, selection, exclude);
      for (const [path, identity] of entries) files.set(path, identity);
      return digest;
    };
    const key = await stepKey(step, { scope: this.input.scope, parent, select });
    this.keys.set(step.number, key);
    this.files.set(step.number, files);
    return key;
  }

  private stageBaseKey(base: StageBase): string {
    if (base.kind === 'scratch') return chainKey([]);
    if (base.kind === 'image') return chainKey(base.image.layers.map(({ diffId }) => diffId));
    return this.stageKey(base.stage);
  }

  private stageKey(index: number): string {
    const stage = this.stage(index);
    const last = stage.steps.at(-1);
    const key = last === undefined ? undefined : this.standing.get(last.number);
    return key ?? this.stageBaseKey(stage.base);
  }

  private sourceKey(source: SourceRef & { readonly from: 'stage' | 'image' }): string {
    return source.from === 'stage'
      ? this.stageKey(source.stage)
      : chainKey(source.image.layers.map(({ diffId }) => diffId));
  }

  private stage(index: number): StagePlan {
    const stage = this.input.plan.stages.get(index);
    if (stage === undefined) throw new AppError('INTERNAL', `stage ${index} was not planned`, { kind: 'internal' });
    return stage;
  }

  /** Asks for all keys at once, also of stages that nothing will need any more. */
  private async lookUpAll(): Promise<void> {
    await this.computeKeys();
    const steps = this.cacheable();
    const found = await Promise.all(steps.map((step) => this.deps.cache.find(this.key(step).key)));
    for (const [i, step] of steps.entries()) {
      const hit = found[i];
      if (hit !== undefined) this.hits.set(step.number, hit);
    }
  }

  /** Steps that stand on none that must be made anew: what those give is not known before. */
  private cacheable(): readonly Step[] {
    const { plan, uncached } = this.input;
    const fresh = new Set<number>();
    const steps: Step[] = [];
    for (const stage of plan.stages.values()) {
      let isFresh = stage.base.kind === 'stage' && fresh.has(stage.base.stage);
      for (const step of stage.steps) {
        isFresh ||= uncached(step) || sourcesOf(step).some((from) => from.from === 'stage' && fresh.has(from.stage));
        if (!isFresh) steps.push(step);
      }
      if (isFresh) fresh.add(stage.index);
    }
    return steps;
  }

  private step(number: number): Step {
    const step = this.input.plan.steps[number - this.input.plan.firstStep];
    if (step === undefined) throw new AppError('INTERNAL', `there is no step ${number}`, { kind: 'internal' });
    return step;
  }

  /** Where the cache remembers the last key of the step. */
  private place(step: Step): string {
    return `${this.input.slot}/${step.stage}/${step.number - this.input.plan.firstStep + 1}`;
  }

  private async reason(step: Step): Promise<string> {
    if (this.input.uncached(step)) return 'built without the cache';
    return this.deps.cache.explain(this.place(step), this.key(step), this.files.get(step.number) ?? new Map());
  }

  private key(step: Step): StepKey {
    const key = this.keys.get(step.number);
    if (key === undefined) throw new AppError('INTERNAL', `step ${step.number} has no key`, { kind: 'internal' });
    return key;
  }

  private async chain(stage: StagePlan): Promise<Chain> {
    const base = await this.baseChain(stage.base);
    const results = await Promise.all(stage.steps.map((step) => this.result(step)));
    return extend(base, results);
  }

  private async baseChain(base: StageBase): Promise<Chain> {
    if (base.kind === 'stage') return this.chain(this.stage(base.stage));
    if (base.kind === 'scratch') return { layers: [], newestSeconds: 0, known: true };
    const { created: text } = base.image.config;
    const created = typeof text === 'string' ? Date.parse(text) : Number.NaN;
    const newestSeconds = Number.isNaN(created) ? 0 : Math.max(0, Math.floor(created / 1000));
    return { layers: base.image.layers, newestSeconds, known: true };
  }

  private baseLayers(stage: StagePlan): number {
    if (stage.base.kind === 'stage') return this.baseLayers(this.stage(stage.base.stage));
    return stage.base.kind === 'image' ? stage.base.image.layers.length : 0;
  }

  private result(step: Step): Promise<StepResult> {
    const known = this.results.get(step.number);
    if (known !== undefined) return known;
    const hit = this.hits.get(step.number);
    const result = hit === undefined ? this.make(step) : Promise.resolve({ step: hit, known: true });
    this.results.set(step.number, result);
    // Whoever awaits the chain sees the error; nobody else has to.
    result.catch(() => undefined);
    return result;
  }

  /** What the step stands on: its stage's base and the steps before it. */
  private async before(step: Step): Promise<Chain> {
    if (isLinked(step)) return { layers: [], newestSeconds: 0, known: true };
    const stage = this.stage(step.stage);
    const base = await this.baseChain(stage.base);
    const earlier = stage.steps.filter(({ number }) => number < step.number);
    return extend(base, await Promise.all(earlier.map((each) => this.result(each))));
  }

  private async make(step: Step): Promise<StepResult> {
    try {
      const [below, ...sources] = await Promise.all([
        this.before(step),
        ...sourcesOf(step).map((source) => this.sourceChain(source)),
      ]);
      this.signal.throwIfAborted();
      const { value, shared } = await this.deps.flights.run(
        this.flightKey(step),
        () =>
          this.slots.run(() =>
            this.findOrExecute(
              step,
              below,
              [below, ...sources].every(({ known }) => known),
            ),
          ),
        this.signal,
      );
      if (shared) this.tellCached(step, value);
      return { step: value, known: shared };
    } catch (error) {
      if (this.signal.aborted && error === this.signal.reason) throw error;
      throw withPlace(error, step.place);
    }
  }

  /** What is built without the cache is shared with no other build. */
  private flightKey(step: Step): string {
    const { key } = this.key(step);
    return this.input.uncached(step) ? `${this.input.buildId}/${key}` : key;
  }

  private async findOrExecute(step: Step, below: Chain, unchanged: boolean): Promise<CachedStep> {
    this.signal.throwIfAborted();
    const { cache } = this.deps;
    const isUncached = this.input.uncached(step);
    const place = this.place(step);
    const started = this.deps.now();
    const { key: definition } = this.key(step);
    const before = this.input.made.get(definition);
    if (before !== undefined) {
      this.tellCached(step, before);
      return before;
    }
    if (!isUncached && !unchanged) {
      // Inputs were made anew: perhaps they came out as before.
      const content = await this.contentKey(step, below, undefined);
      const found = content === undefined ? undefined : await cache.find(content);
      if (found !== undefined) {
        const kept = await cache.keep([this.key(step).key], found, false);
        this.tellCached(step, kept);
        return kept;
      }
    }
    const files = this.files.get(step.number) ?? new Map<string, string>();
    const reason = await this.reason(step);
    const { number, name, instruction } = step;
    this.input.emit({
      type: 'step-started',
      step: number,
      name,
      instruction,
      reason,
    });
    try {
      const { step: made, hashes } = await this.execute(step, below);
      const content = await this.contentKey(step, below, hashes);
      const keys = [this.key(step).key, ...(content === undefined ? [] : [content])];
      const kept = await cache.keep(keys, made, isUncached);
      this.input.made.set(definition, kept);
      await cache.remember(place, this.key(step), files);
      this.tell(step, kept, { cached: false, milliseconds: this.deps.now() - started, reason });
      return kept;
    } catch (error) {
      const milliseconds = this.deps.now() - started;
      this.input.emit({ type: 'step-finished', step: number, cached: false, milliseconds, failed: true });
      throw error;
    }
  }

  private async execute(step: Step, below: Chain): Promise<Execution> {
    return this.deps.executor.execute({
      step,
      layers: below.layers,
      target: await this.tree(below.layers),
      timeSeconds: step.epochSeconds ?? below.newestSeconds,
      source: (source) => this.sourceTree(source),
      sourceLayers: (source) => this.sourceLayers(source),
      secrets: this.input.secrets,
      emit: this.input.emit,
      signal: this.signal,
      ...(this.input.compression === undefined ? {} : { compression: this.input.compression }),
    });
  }

  /**
   * The key over what the inputs turned out to be.
   * @param hashes of the files, when they were just copied; otherwise they are read
   * @returns undefined when a file's hash is not at hand
   */
  private async contentKey(
    step: Step,
    below: Chain,
    hashes: ReadonlyMap<string, string> | undefined,
  ): Promise<string | undefined> {
    const select: KeyInputs['select'] = async (selection, exclude) => {
      const { source } = selection;
      if (source.from === 'context' || source.from === 'remote') {
        return (await this.atHand.identify(step, selection, exclude)).digest;
      }
      const chain = await this.sourceChain(source);
      if (step.op.kind === 'run') return chainKey(chain.layers.map(({ diffId }) => diffId));
      const tree = await this.tree(chain.layers);
      const known: FileHashes = hashes === undefined ? (files) => hashFiles(tree, files, this.signal) : given(hashes);
      return (await identify(tree, selection, exclude, known)).digest;
    };
    const parent = chainKey(below.layers.map(({ diffId }) => diffId));
    try {
      return (await stepKey(step, { scope: this.input.scope, parent, select })).key;
    } catch (error) {
      // Missing sources are told by the copy itself; a hash that is not at hand only means no second key.
      if (error instanceof SourceMissing || error instanceof HashMissing) return undefined;
      throw error;
    }
  }

  private async sourceChain(source: SourceRef): Promise<Chain> {
    if (source.from === 'stage') return this.chain(this.stage(source.stage));
    return { layers: source.from === 'image' ? source.image.layers : [], newestSeconds: 0, known: true };
  }

  private async sourceTree(source: SourceRef): Promise<ImageTree> {
    if (source.from === 'context' || source.from === 'remote') return this.atHand.tree(source);
    return this.tree((await this.sourceChain(source)).layers);
  }

  private async sourceLayers(source: SourceRef): Promise<readonly Layer[]> {
    if (source.from !== 'context') return (await this.sourceChain(source)).layers;
    const known = this.contextLayers.get(source.context ?? '') ?? this.writeContext(source);
    this.contextLayers.set(source.context ?? '', known);
    return [await known];
  }

  /** A context as a layer, for a bind mount. */
  private async writeContext(source: SourceAtHand): Promise<Layer> {
    const tree = await this.atHand.tree(source);
    const members = completeChangeset(tree.readMembers(tree.walk()), tree);
    const { content, indexes } = this.deps;
    const written = await writeLayer(members, { content, compression: 'none', signal: this.signal });
    await indexes.put(written.index);
    return { diffId: written.diffId, descriptor: written.descriptor };
  }

  /** The merged tree of these layers; built once for each, from the one below. */
  private tree(layers: readonly Layer[]): Promise<ImageTree> {
    const last = layers.at(-1);
    if (last === undefined) return Promise.resolve(ImageTree.empty(this.deps.content));
    const key = chainKey(layers.map(({ diffId }) => diffId));
    const known = this.trees.get(key);
    if (known !== undefined) return known;
    const tree = (async () => {
      const indexed = async (): Promise<LayerIndex> => {
        await this.deps.fetchLayers([last], this.signal);
        return this.deps.indexes.get(last);
      };
      const [below, index] = await Promise.all([this.tree(layers.slice(0, -1)), indexed()]);
      return below.withLayer(index);
    })();
    this.trees.set(key, tree);
    return tree;
  }

  private tellCached(step: Step, hit: CachedStep): void {
    const { number, name, instruction } = step;
    this.input.emit({ type: 'step-started', step: number, name, instruction });
    this.tell(step, hit, { cached: true, milliseconds: 0, reason: undefined });
  }

  private tell(
    step: Step,
    made: CachedStep,
    how: { readonly cached: boolean; readonly milliseconds: number; readonly reason: string | undefined },
  ): void {
    const { cached, milliseconds, reason } = how;
    const layer = { layerBytes: made.descriptor.size, layerDigest: made.descriptor.digest };
    const { number, name, instruction } = step;
    this.summaries.set(number, {
      name,
      instruction,
      cached,
      milliseconds,
      ...(reason === undefined ? {} : { reason }),
      ...layer,
    });
    this.input.emit({ type: 'step-finished', step: number, cached, milliseconds, ...layer });
  }
}

function extend(base: Chain, results: readonly StepResult[]): Chain {
  return {
    layers: [...base.layers, ...results.map(({ step }) => ({ diffId: step.diffId, descriptor: step.descriptor }))],
    newestSeconds: Math.max(base.newestSeconds, ...results.map(({ step }) => step.newestSeconds)),
    known: base.known && results.every(({ known }) => known),
  };
}

const below = (parent: string): KeyPart => ({ name: 'below', value: parent });

function sourcesOf({ op }: Step): readonly SourceRef[] {
  if (op.kind === 'copy') return op.sources.map(({ source }) => source);
  if (op.kind !== 'run') return [];
  return op.mounts.flatMap((mount) => {
    if (mount.type === 'bind') return [mount.source];
    return mount.type === 'cache' && mount.base !== undefined ? [mount.base.source] : [];
  });
}

class HashMissing extends Error {}

function given(hashes: ReadonlyMap<string, string>): FileHashes {
  return async (files: readonly TreeEntry[]) => {
    if (files.some(({ inode }) => !hashes.has(inode))) throw new HashMissing();
    return hashes;
  };
}
