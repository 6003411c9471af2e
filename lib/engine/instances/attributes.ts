/** The attributes of container instances: those that every one has, and how later ones are added. */
import type { EngineOptions } from '../context.js';
import type { Attribute } from '../state/model.js';

/** The attributes of a fresh instance; what the caller states wins over what is known of the machine. */
export function registrationAttributes(
  identity: Readonly<Record<string, string>>,
  options: Pick<EngineOptions, 'region' | 'architecture'>,
  stated: readonly Attribute[],
): Attribute[] {
  const known: Attribute[] = [
    { name: 'ecs.os-type', value: 'linux' },
    { name: 'ecs.os-family', value: 'LINUX' },
    { name: 'ecs.cpu-architecture', value: identity['architecture'] ?? options.architecture ?? 'x86_64' },
    { name: 'ecs.availability-zone', value: identity['availabilityZone'] ?? `${options.region}a` },
    { name: 'ecs.instance-type', value: identity['instanceType'] ?? 'local' },
  ];
  return mergeAttributes(known, stated);
}

/** Sorted by name; the later value of a name wins. */
export function mergeAttributes(before: readonly Attribute[], after: readonly Attribute[]): Attribute[] {
  const merged = new Map([...before, ...after].map((item) => [item.name, item]));
  return [...merged.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
