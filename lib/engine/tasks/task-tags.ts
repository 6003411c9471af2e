/** The tags that a task begins with: those that ECS manages, those that it inherits, and its own. */
import type { ServiceState } from '../state/service-model.js';
import type { Tag, TaskDefinitionState } from '../state/model.js';

interface TaggedLaunch {
  readonly clusterName: string;
  readonly enableECSManagedTags?: boolean | undefined;
  readonly propagateTags?: string | undefined;
  readonly tags?: readonly Tag[] | undefined;
}

/** Of RunTask and StartTask. A tag of the request stands before one of the definition. */
export function taskTags(launch: TaggedLaunch, definition: TaskDefinitionState): readonly Tag[] {
  const inherited = launch.propagateTags === 'TASK_DEFINITION' ? definition.tags : [];
  const all = [...managedTags(launch), ...inherited, ...(launch.tags ?? [])];
  return [...new Map(all.map((tag) => [tag.key, tag])).values()];
}

/** Of a task of a service. The service's own tags are its tasks' only when it says so. */
export function serviceTaskTags(service: ServiceState, definition: TaskDefinitionState): readonly Tag[] {
  const own = [
    ...managedTags(service),
    ...(service.enableECSManagedTags ? [{ key: 'aws:ecs:serviceName', value: service.name }] : []),
  ];
  if (service.propagateTags === 'SERVICE') return [...own, ...service.tags];
  return service.propagateTags === 'TASK_DEFINITION' ? [...own, ...definition.tags] : own;
}

function managedTags({ clusterName, enableECSManagedTags }: TaggedLaunch): readonly Tag[] {
  return enableECSManagedTags === true ? [{ key: 'aws:ecs:clusterName', value: clusterName }] : [];
}
