/** What a task with the strategy `wharf:locality` would have to pull on each instance, added to what it requires. */
import type { Agent } from '../agent/types.js';
import type { Context } from '../context.js';
import { type ImagePiece, LOCALITY, pullsOf } from '../placement/locality.js';
import type { Requirement } from '../placement/place.js';
import type { TaskDefinitionState } from '../state/model.js';

const MOST_KNOWN = 2000;

/** The layers of images, asked of the agent; of those that are named by digest the answer is kept. */
export class ImageLayers {
  readonly #known = new Map<string, readonly ImagePiece[]>();

  constructor(private readonly agent: Agent) {}

  /** An image whose layers nobody here knows counts as one piece. */
  async of(image: string): Promise<readonly ImagePiece[]> {
    const known = this.#known.get(image);
    if (known !== undefined) return known;
    const layers = (await this.agent.layers?.(image)) ?? [{ digest: image, sizeBytes: 1 }];
    if (!image.includes('@')) return layers;
    if (this.#known.size >= MOST_KNOWN) this.#known.clear();
    this.#known.set(image, layers);
    return layers;
  }
}

export async function withPulls(
  context: Context,
  cluster: string,
  requirement: Requirement,
  { definition }: TaskDefinitionState,
): Promise<Requirement> {
  if (!requirement.strategies.some(({ type }) => type === LOCALITY)) return requirement;
  const { state, options, deps, imageLayers } = context;
  const { held } = await state.live.of(cluster);
  await held.seed(options.stoppedTaskTtlMs, () => state.stoppedTasks.all(cluster));
  const images = new Set(definition.containerDefinitions.map(({ image }) => image ?? ''));
  const wanted = (await Promise.all([...images].map((image) => imageLayers.of(image)))).flat();
  const holders = new Map<string, Set<string>>(wanted.map(({ digest }) => [digest, new Set()]));
  for (const [image, instances] of held.now(deps.clock.nowMs())) {
    for (const { digest } of await imageLayers.of(image)) {
      const all = holders.get(digest);
      if (all !== undefined) for (const instance of instances) all.add(instance);
    }
  }
  return { ...requirement, pulls: pullsOf(wanted, holders) };
}
