/** What a solved plan can hand on to other builders: the steps whose layers are known, needed for the image or not. */
import { stageOf } from '../keys/step-keys.js';
import type { Plan, StagePlan } from '../plan/plan.js';
import type { Step } from '../plan/steps.js';
import type { KnownStep } from './solve-input.js';
import type { CachedStep } from './step-cache.js';

export async function knownSteps(
  plan: Plan,
  solved: { readonly key: (step: Step) => string; readonly find: (step: Step) => Promise<CachedStep | undefined> },
): Promise<readonly KnownStep[]> {
  const inImage = stepsBelow(plan, plan.target);
  const known = plan.steps.map(async (each): Promise<readonly KnownStep[]> => {
    const step = await solved.find(each);
    return step === undefined
      ? []
      : [{ key: solved.key(each), planned: each, step, inImage: inImage.has(each.number) }];
  });
  return (await Promise.all(known)).flat();
}

/** Numbers of the steps whose layers a stage consists of. */
function stepsBelow(plan: Plan, { base, steps }: StagePlan): ReadonlySet<number> {
  const below = base.kind === 'stage' ? stepsBelow(plan, stageOf(plan, base.stage)) : [];
  return new Set([...below, ...steps.map(({ number }) => number)]);
}
