/**
 * The Auto Scaling group behind a capacity provider. There is no EC2 here: the group is a stand-in that makes logical
 * container instances of this machine, and its shape is told by tags of the capacity provider, the one thing every ECS
 * client can set.
 *
 * | tag | meaning | default |
 * | --- | --- | --- |
 * | `wharf:minimum`, `wharf:maximum` | instances, for each cluster it is associated with | 0 and 4 |
 * | `wharf:cpu`, `wharf:memory` | CPU units and MiB of one instance | the engine's `instanceSize` |
 * | `wharf:instance-type` | the attribute ecs.instance-type | `local` |
 * | `wharf:zones` | availability zones, spaces between them, filled evenly | the first of the region |
 */
import { invalidParameter } from '../ecs-error.js';
import type { EngineOptions } from '../context.js';
import type { Tag } from '../state/model.js';

export interface AutoScalingGroup {
  readonly minimum: number;
  readonly maximum: number;
  readonly cpu: number;
  readonly memoryMiB: number;
  readonly instanceType: string;
  /** At least one. */
  readonly zones: readonly string[];
}

const PREFIX = 'wharf:';
const MOST_INSTANCES = 5000;
const DEFAULT_MAXIMUM = 4;
const KNOWN = ['minimum', 'maximum', 'cpu', 'memory', 'instance-type', 'zones'];

/** @throws InvalidParameterException naming the tag */
export function groupOf(
  tags: readonly Tag[],
  options: Pick<Required<EngineOptions>, 'region' | 'instanceSize'>,
): AutoScalingGroup {
  const values = new Map(
    tags.filter(({ key }) => key.startsWith(PREFIX)).map(({ key, value }) => [key.slice(PREFIX.length), value]),
  );
  for (const name of values.keys()) {
    if (KNOWN.includes(name)) continue;
    const known = KNOWN.map((each) => PREFIX + each).join(', ');
    throw invalidParameter(`The tag ${PREFIX}${name} means nothing here: ${known} do.`);
  }
  const whole = (name: string, least: number, most: number, otherwise: number): number => {
    const text = values.get(name);
    if (text === undefined) return otherwise;
    if (/^\d{1,9}$/.test(text) && Number(text) >= least && Number(text) <= most) return Number(text);
    throw invalidParameter(
      `The tag ${PREFIX}${name} is "${text}": a whole number from ${String(least)} to ${String(most)} is wanted.`,
    );
  };
  const minimum = whole('minimum', 0, MOST_INSTANCES, 0);
  const maximum = whole('maximum', 0, MOST_INSTANCES, Math.max(minimum, DEFAULT_MAXIMUM));
  if (minimum > maximum) {
    throw invalidParameter(`The tag ${PREFIX}minimum (${String(minimum)}) is above ${PREFIX}maximum.`);
  }
  const zones = (values.get('zones') ?? '').split(' ').filter((zone) => zone !== '');
  return {
    minimum,
    maximum,
    cpu: whole('cpu', 1, 1_000_000, options.instanceSize.cpu),
    memoryMiB: whole('memory', 6, 100_000_000, options.instanceSize.memoryMiB),
    instanceType: values.get('instance-type') ?? 'local',
    zones: zones.length > 0 ? zones : [`${options.region}a`],
  };
}
