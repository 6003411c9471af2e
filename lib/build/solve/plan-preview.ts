/** What a build would do: which steps are in the cache, which will be made and why, and how many bytes that moves. */
import type { Plan, StagePlan } from '../plan/plan.js';
import type { ExpectedStep, PlanReport } from '../report.js';
import type { CachedStep } from './step-cache.js';
import type { Layer, SourceRef, Step } from '../plan/steps.js';

export interface PreviewInput {
  readonly plan: Plan;
  readonly hit: (step: Step) => CachedStep | undefined;
  readonly sources: (step: Step) => readonly SourceRef[];
  readonly reason: (step: Step) => Promise<string>;
  readonly contextBytes: (step: Step) => number;
}

export interface Preview {
  readonly steps: readonly ExpectedStep[];
  /** Image layers that will be read or linked. */
  readonly layers: readonly Layer[];
}

export async function previewPlan(input: PreviewInput): Promise<Preview> {
  const preview = new PlanPreview(input);
  preview.needStage(input.plan.target);
  if (input.plan.scan !== undefined) preview.needStage(input.plan.scan);
  const steps = await Promise.all(input.plan.steps.map((step) => preview.expected(step)));
  return { steps, layers: [...preview.layers] };
}

/** What the previews of all platforms say together. @param toFetch bytes of layers that other registries have */
export function planReport(previews: readonly Preview[], toFetch: number): PlanReport {
  const steps = previews.flatMap((preview) => preview.steps);
  const sum = (of: (step: ExpectedStep) => number | undefined): number =>
    steps.reduce((total, step) => total + (of(step) ?? 0), 0);
  return {
    kind: 'plan',
    steps,
    hits: sum(({ expected }) => Number(expected === 'hit')),
    misses: sum(({ expected }) => Number(expected === 'miss' || expected === 'maybe')),
    bytes: {
      context: sum((step) => step.contextBytes),
      cached: sum((step) => step.layerBytes),
      fetch: toFetch,
    },
  };
}

class PlanPreview {
  readonly layers = new Set<Layer>();
  private readonly needed = new Set<number>();
  /** Steps and stages whose outcome is not known before. */
  private readonly open = new Set<Step>();
  private readonly seen = new Map<number, boolean>();

  constructor(private readonly input: PreviewInput) {}

  /** @returns whether anything of the stage has to be made */
  needStage(stage: StagePlan): boolean {
    const known = this.seen.get(stage.index);
    if (known !== undefined) return known;
    let isOpen = this.needBase(stage);
    for (const step of stage.steps) {
      this.needed.add(step.number);
      const hit = this.input.hit(step);
      if (hit?.origin !== undefined) this.layers.add(hit);
      if (hit !== undefined) continue;
      const sources = this.input.sources(step).map((source) => this.needSource(source));
      if (isOpen || sources.includes(true)) this.open.add(step);
      isOpen = true;
    }
    this.seen.set(stage.index, isOpen);
    return isOpen;
  }

  async expected(step: Step): Promise<ExpectedStep> {
    const { number, name, instruction, place } = step;
    const common = { step: number, name, instruction, line: place.line };
    const hit = this.input.hit(step);
    if (hit !== undefined) {
      const from = hit.importedFrom === undefined ? {} : { importedFrom: hit.importedFrom };
      return { ...common, expected: 'hit', layerBytes: hit.descriptor.size, ...from };
    }
    if (!this.needed.has(number)) return { ...common, expected: 'not-needed' };
    const contextBytes = this.input.contextBytes(step);
    return {
      ...common,
      expected: this.open.has(step) ? 'maybe' : 'miss',
      reason: await this.input.reason(step),
      ...(contextBytes === 0 ? {} : { contextBytes }),
    };
  }

  private needBase({ base }: StagePlan): boolean {
    if (base.kind === 'image') for (const layer of base.image.layers) this.layers.add(layer);
    return base.kind === 'stage' && this.needIndex(base.stage);
  }

  private needSource(source: SourceRef): boolean {
    if (source.from === 'image') for (const layer of source.image.layers) this.layers.add(layer);
    return source.from === 'stage' && this.needIndex(source.stage);
  }

  private needIndex(index: number): boolean {
    const stage = this.input.plan.stages.get(index);
    return stage !== undefined && this.needStage(stage);
  }
}
