/** Tells what becomes of each step, as events while it happens and as a summary for the build's result. */
import type { EmitEvent } from '../build-log.js';
import type { CachedStep } from './step-cache.js';
import type { Step } from '../plan/steps.js';
import type { BuildStepSummary } from '../types.js';

export class StepProgress {
  private readonly summaries = new Map<number, BuildStepSummary>();

  constructor(
    private readonly emit: EmitEvent,
    private readonly now: () => number,
  ) {}

  cached(step: Step, hit: CachedStep): void {
    const { number, name, instruction } = step;
    this.emit({ type: 'step-started', step: number, name, instruction });
    this.tell(step, hit, { cached: true, milliseconds: 0 });
  }

  /** @param reason why it is not in the cache */
  started({ number, name, instruction }: Step, reason: string): { finished(made: CachedStep): void; failed(): void } {
    const startedMs = this.now();
    const step = { number, name, instruction };
    this.emit({ type: 'step-started', step: number, name, instruction, reason });
    return {
      finished: (made) => this.tell(step, made, { cached: false, milliseconds: this.now() - startedMs, reason }),
      failed: () => {
        const milliseconds = this.now() - startedMs;
        this.emit({ type: 'step-finished', step: number, cached: false, milliseconds, failed: true });
      },
    };
  }

  /** Of the steps that were told about, in the order given. */
  summary(steps: readonly Step[]): readonly BuildStepSummary[] {
    return steps.flatMap((step) => this.summaries.get(step.number) ?? []);
  }

  private tell(
    { number, name, instruction }: Pick<Step, 'number' | 'name' | 'instruction'>,
    { descriptor, importedFrom }: CachedStep,
    how: { readonly cached: boolean; readonly milliseconds: number; readonly reason?: string },
  ): void {
    const { cached, milliseconds } = how;
    const from = importedFrom === undefined ? {} : { importedFrom };
    const layer = { layerBytes: descriptor.size, layerDigest: descriptor.digest, ...from };
    this.summaries.set(number, { name, instruction, ...how, ...layer });
    this.emit({ type: 'step-finished', step: number, cached, milliseconds, ...layer });
  }
}
