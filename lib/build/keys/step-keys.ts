/**
 * The definition keys of all steps of a plan, computed in the order of the file before any layer is read, and beside
 * each the identity of the files it takes, which tells later what changed.
 */
import { AppError } from '../../errors/index.js';
import { hashParts, type KeyPart } from './framing.js';
import { chainKey, isLinked, type KeyInputs, type StepKey, stepKey } from './keys.js';
import type { Plan, StagePlan } from '../plan/plan.js';
import type { StepFile, StepFiles } from './selection.js';
import type { SourcesAtHand } from '../solve/sources-at-hand.js';
import type { SourceRef, StageBase, Step } from '../plan/steps.js';

export class StepKeys {
  private readonly keys = new Map<number, StepKey>();
  /** Key of a stage as it stands after a step. */
  private readonly standing = new Map<number, string>();
  private readonly files = new Map<number, readonly StepFiles[]>();

  constructor(
    private readonly plan: Plan,
    private readonly scope: string,
    private readonly atHand: SourcesAtHand,
  ) {}

  /** A parent's key is known before its child's. @throws AppError with the step's place, or the signal's reason */
  async compute(signal: AbortSignal): Promise<void> {
    this.atHand.begin(this.plan.steps.flatMap(sourcesOf));
    for (const stage of this.plan.stages.values()) {
      let parent = this.stageBaseKey(stage.base);
      for (const step of stage.steps) {
        signal.throwIfAborted();
        const { key } = await this.definitionKey(step, parent);
        // A linked layer knows nothing of what is below it; what comes after stands on both.
        parent = isLinked(step) ? hashParts('wharf.link.v1', [below(parent), { name: 'layer', value: key }]) : key;
        this.standing.set(step.number, parent);
      }
    }
  }

  of(step: Step): StepKey {
    const key = this.keys.get(step.number);
    if (key === undefined) throw new AppError('INTERNAL', `step ${step.number} has no key`, { kind: 'internal' });
    return key;
  }

  /** Every file the step takes out of a context or what ADD fetched, each once. */
  filesOf(step: Step): StepFiles {
    const [only = [], ...others] = this.files.get(step.number) ?? [];
    if (others.length === 0) return only;
    const all = new Map<string, StepFile>();
    for (const files of [only, ...others]) for (const file of files) all.set(file[0], file);
    return all.values();
  }

  private async definitionKey(step: Step, parent: string): Promise<StepKey> {
    const found: StepFiles[] = [];
    const select: KeyInputs['select'] = async (selection, exclude) => {
      const { source } = selection;
      if (source.from === 'stage' || source.from === 'image') return this.sourceKey(source);
      const { digest, files } = await this.atHand.identify(step, selection, exclude);
      found.push(files);
      return digest;
    };
    const key = await stepKey(step, { scope: this.scope, parent, select });
    this.keys.set(step.number, key);
    this.files.set(step.number, found);
    return key;
  }

  private stageBaseKey(base: StageBase): string {
    if (base.kind === 'scratch') return chainKey([]);
    if (base.kind === 'image') return chainKey(base.image.layers.map(({ diffId }) => diffId));
    return this.stageKey(base.stage);
  }

  private stageKey(index: number): string {
    const stage = stageOf(this.plan, index);
    const last = stage.steps.at(-1);
    const key = last === undefined ? undefined : this.standing.get(last.number);
    return key ?? this.stageBaseKey(stage.base);
  }

  private sourceKey(source: SourceRef & { readonly from: 'stage' | 'image' }): string {
    return source.from === 'stage'
      ? this.stageKey(source.stage)
      : chainKey(source.image.layers.map(({ diffId }) => diffId));
  }
}

const below = (parent: string): KeyPart => ({ name: 'below', value: parent });

export function stageOf(plan: Plan, index: number): StagePlan {
  const stage = plan.stages.get(index);
  if (stage === undefined) throw new AppError('INTERNAL', `stage ${index} was not planned`, { kind: 'internal' });
  return stage;
}

export function sourcesOf({ op }: Step): readonly SourceRef[] {
  if (op.kind === 'copy') return op.sources.map(({ source }) => source);
  if (op.kind !== 'run') return [];
  return op.mounts.flatMap((mount) => {
    if (mount.type === 'bind') return [mount.source];
    return mount.type === 'cache' && mount.base !== undefined ? [mount.base.source] : [];
  });
}
