/**
 * Solves a plan: computes every key, asks the cache for all of them at once, and then makes only what the target needs
 * and the cache has not. A stage whose consumers all hit is never touched; independent stages run side by side.
 */
import type { Digest } from '../../oci/index.js';
import { withPlace } from '../build-errors.js';
import { type Chain, extend, imageChain, NO_LAYERS, type StepResult } from './chain.js';
import { Slots } from './concurrency.js';
import { hashParts } from '../keys/framing.js';
import { isLinked } from '../keys/keys.js';
import { knownSteps } from './known-steps.js';
import type { StepIdentity } from './last-steps.js';
import { LayerTrees } from './layer-trees.js';
import type { StagePlan } from '../plan/plan.js';
import { type Preview, previewPlan } from './plan-preview.js';
import { needsWorker } from '../sandbox/sandbox-elsewhere.js';
import type { Solution, SolveInput, SolverDeps } from './solve-input.js';
import { SolvedSources } from './solved-sources.js';
import { SourcesAtHand } from './sources-at-hand.js';
import type { CachedStep } from './step-cache.js';
import type { Execution } from '../steps/step-executor.js';
import { sourcesOf, stageOf, StepKeys } from '../keys/step-keys.js';
import { StepProgress } from './step-progress.js';
import type { SourceRef, StageBase, Step } from '../plan/steps.js';

/** What a step that must be made stands on and reads. */
interface Inputs {
  readonly below: Chain;
  /** All of it came from our cache by its keys. */
  readonly unchanged: boolean;
  /** Some of it came from a cache of the request. */
  readonly imported: boolean;
}

export class Solver {
  private readonly keys: StepKeys;
  private readonly hits = new Map<number, CachedStep>();
  private readonly results = new Map<number, Promise<StepResult>>();
  private readonly progress: StepProgress;
  private readonly trees: LayerTrees;
  private readonly slots: Slots;
  private readonly stop = new AbortController();
  private readonly signal: AbortSignal;
  private readonly atHand: SourcesAtHand;
  private readonly sources: SolvedSources;

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
    const { atHand, signal } = this;
    this.keys = new StepKeys(input.plan, input.scope, atHand);
    this.progress = new StepProgress(input.emit, deps.now);
    this.trees = new LayerTrees(deps, signal);
    const chain = (source: SourceRef): Promise<Chain> => this.sourceChain(source);
    this.sources = new SolvedSources({ ...deps, trees: this.trees, atHand, chain }, input.scope, signal);
  }

  async solve(): Promise<Solution> {
    const { plan } = this.input;
    try {
      await this.lookUpAll();
      for (const step of plan.steps) {
        const hit = this.hits.get(step.number);
        if (hit !== undefined) this.progress.cached(step, hit);
      }
      const { layers, newestSeconds } = await this.chain(plan.target);
      const scan = plan.scan === undefined ? undefined : (await this.chain(plan.scan)).layers.at(-1);
      return {
        layers,
        baseLayers: this.baseLayers(plan.target),
        newestSeconds,
        steps: this.progress.summary(plan.steps),
        ...(scan === undefined ? {} : { scan }),
        known: await knownSteps(plan, {
          key: (step) => this.keys.of(step).key,
          find: async ({ number }) => this.hits.get(number) ?? (await this.results.get(number))?.step,
        }),
      };
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
        let bytes = 0;
        for (const [path] of this.keys.filesOf(step)) bytes += context.tree.exact(path)?.sizeBytes ?? 0;
        return bytes;
      },
    });
  }

  /** Asks for all keys at once, also of stages that nothing will need any more. */
  private async lookUpAll(): Promise<void> {
    await this.keys.compute(this.signal);
    const steps = this.cacheable();
    const found = await Promise.all(steps.map((step) => this.lookUp(this.keys.of(step).key)));
    for (const [i, step] of steps.entries()) {
      const hit = found[i];
      if (hit !== undefined) this.hits.set(step.number, hit);
    }
  }

  private async lookUp(key: string): Promise<CachedStep | undefined> {
    return (await this.deps.cache.find(key)) ?? this.input.imported?.find(key);
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

  /** Where the cache remembers the last key of the step. */
  private place(step: Step): string {
    return `${this.input.slot}/${step.stage}/${step.number - this.input.plan.firstStep + 1}`;
  }

  private async reason(step: Step): Promise<string> {
    if (this.input.uncached(step)) return 'built without the cache';
    return this.deps.lastSteps.explain(this.place(step), this.identity(step));
  }

  private identity(step: Step): StepIdentity {
    const { base, steps } = stageOf(this.input.plan, step.stage);
    const onImage = base.kind === 'image' && steps[0] === step && !isLinked(step);
    return {
      key: this.keys.of(step),
      files: this.keys.filesOf(step),
      instruction: step.instruction.split(' ', 1)[0] ?? '',
      ...(onImage ? { base: base.image.name } : {}),
    };
  }

  private async chain(stage: StagePlan): Promise<Chain> {
    const base = await this.baseChain(stage.base);
    return extend(base, await Promise.all(stage.steps.map((step) => this.result(step))));
  }

  private async baseChain(base: StageBase): Promise<Chain> {
    if (base.kind === 'stage') return this.chain(stageOf(this.input.plan, base.stage));
    return base.kind === 'scratch' ? NO_LAYERS : imageChain(base);
  }

  private baseLayers({ base }: StagePlan): number {
    if (base.kind === 'stage') return this.baseLayers(stageOf(this.input.plan, base.stage));
    return base.kind === 'image' ? base.image.layers.length : 0;
  }

  private result(step: Step): Promise<StepResult> {
    const known = this.results.get(step.number);
    if (known !== undefined) return known;
    const hit = this.hits.get(step.number);
    const result = hit === undefined ? this.make(step) : this.take(step, hit);
    this.results.set(step.number, result);
    // Whoever awaits the chain sees the error; nobody else has to.
    result.catch(() => undefined);
    return result;
  }

  /** What the step stands on: its stage's base and the steps before it. */
  private async before(step: Step): Promise<Chain> {
    if (isLinked(step)) return NO_LAYERS;
    const stage = stageOf(this.input.plan, step.stage);
    const base = await this.baseChain(stage.base);
    const earlier = stage.steps.filter(({ number }) => number < step.number);
    return extend(base, await Promise.all(earlier.map((each) => this.result(each))));
  }

  /** Of an imported step the key is remembered, so that a miss after it can say what changed. */
  private async take(step: Step, hit: CachedStep): Promise<StepResult> {
    const imported = hit.importedFrom !== undefined;
    if (imported) await this.remember(step, hit);
    return { step: hit, known: !imported, imported };
  }

  private async make(step: Step): Promise<StepResult> {
    try {
      const [below, ...sources] = await Promise.all([
        this.before(step),
        ...sourcesOf(step).map((source) => this.sourceChain(source)),
      ]);
      this.signal.throwIfAborted();
      const inputs: Inputs = {
        below,
        unchanged: [below, ...sources].every(({ known }) => known),
        imported: [below, ...sources].some(({ imported }) => imported),
      };
      const { value, shared } = await this.deps.flights.run(
        this.flightKey(step),
        () => this.slots.run(() => this.findOrExecute(step, inputs)),
        this.signal,
      );
      if (shared) this.progress.cached(step, value);
      return { step: value, known: shared, imported: inputs.imported || value.importedFrom !== undefined };
    } catch (error) {
      if (this.signal.aborted && error === this.signal.reason) throw error;
      throw withPlace(error, step.place);
    }
  }

  /** What is built without the cache, or with caches of the request, is shared with no other build. */
  private flightKey(step: Step): string {
    const { key } = this.keys.of(step);
    const isOwn = this.input.imported !== undefined || this.input.uncached(step);
    return isOwn ? `${this.input.buildId}/${key}` : key;
  }

  private async findOrExecute(step: Step, inputs: Inputs): Promise<CachedStep> {
    this.signal.throwIfAborted();
    const { key } = this.keys.of(step);
    const before = this.input.made.get(key);
    if (before !== undefined) {
      this.progress.cached(step, before);
      return before;
    }
    // When inputs were made anew, perhaps they came out as before.
    const known = this.input.uncached(step) || inputs.unchanged ? undefined : await this.findByContent(step, inputs);
    return known ?? this.executeAndKeep(step, inputs);
  }

  private async findByContent(step: Step, { below, imported }: Inputs): Promise<CachedStep | undefined> {
    const { cache } = this.deps;
    const content = await this.sources.contentKey(step, below);
    if (content === undefined) return undefined;
    const found = (imported ? await cache.find(this.ownKey(content)) : undefined) ?? (await this.lookUp(content));
    if (found === undefined) return undefined;
    const isOurs = !imported && found.importedFrom === undefined;
    const known = { ...found, contentKey: content };
    const kept = isOurs ? await cache.keep([this.keys.of(step).key], known, false) : known;
    this.progress.cached(step, kept);
    return kept;
  }

  private async executeAndKeep(step: Step, inputs: Inputs): Promise<CachedStep> {
    const { cache, lastSteps } = this.deps;
    const { below, imported } = inputs;
    const definition = this.keys.of(step);
    const progress = this.progress.started(step, await this.reason(step));
    try {
      const like = await lastSteps.layer(this.place(step));
      const { step: layer, hashes } = await this.execute(step, below, like);
      const content = await this.sources.contentKey(step, below, hashes);
      const made = content === undefined ? layer : { ...layer, contentKey: content };
      const byContent = content === undefined ? [] : [imported ? this.ownKey(content) : content];
      const keys = imported ? byContent : [definition.key, ...byContent];
      const kept = await cache.keep(keys, made, this.input.uncached(step));
      this.input.made.set(definition.key, kept);
      await this.remember(step, kept);
      progress.finished(kept);
      return kept;
    } catch (error) {
      // It has not failed: whoever takes the build over begins it anew.
      if (!needsWorker(error)) progress.failed();
      throw error;
    }
  }

  /** Of what stands on imported layers: a key that names them by content, and that nobody else asks for. */
  private ownKey(content: string): string {
    return hashParts('wharf.imported.v1', [
      { name: 'owner', value: this.input.owner },
      { name: 'content', value: content },
    ]);
  }

  private remember(step: Step, { diffId }: CachedStep): Promise<void> {
    return this.deps.lastSteps.remember(this.place(step), this.identity(step), diffId);
  }

  private async execute(step: Step, below: Chain, like: Digest | undefined): Promise<Execution> {
    const [target] = await Promise.all([this.trees.of(below.layers), this.prepare(step, below)]);
    return this.deps.executor.execute({
      step,
      layers: below.layers,
      target,
      timeSeconds: step.epochSeconds ?? below.newestSeconds,
      source: (source) => this.sources.tree(source),
      sourceLayers: (source) => this.sources.layers(source),
      secrets: this.input.secrets,
      policed: this.input.policed,
      emit: this.input.emit,
      signal: this.signal,
      ...(this.input.compression === undefined ? {} : { compression: this.input.compression }),
      ...(like === undefined ? {} : { like }),
    });
  }

  /** A base that is new here is unpacked while its index is made. */
  private async prepare(step: Step, { layers }: Chain): Promise<void> {
    if (step.op.kind !== 'run') return;
    await this.deps.fetchLayers(layers, this.signal);
    await this.deps.executor.prepare(layers);
  }

  private async sourceChain(source: SourceRef): Promise<Chain> {
    if (source.from === 'stage') return this.chain(stageOf(this.input.plan, source.stage));
    return source.from === 'image' ? { ...NO_LAYERS, layers: source.image.layers } : NO_LAYERS;
  }
}
