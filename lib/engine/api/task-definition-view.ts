/** A task definition as clients see it, with what Amazon ECS fills in. */
import type { TaskDefinitionState } from '../state/model.js';
import type { TaskDefinitionInput } from './task-definition-input.js';
import { epochSeconds } from './task-view.js';

export function taskDefinitionView(state: TaskDefinitionState): object {
  const { definition } = state;
  return {
    ...definition,
    containerDefinitions: definition.containerDefinitions.map((container) => ({
      ...container,
      portMappings: container.portMappings.map((mapping) => withHostPort(mapping, definition.networkMode)),
    })),
    taskDefinitionArn: state.arn,
    revision: state.revision,
    status: state.status,
    compatibilities: ['EXTERNAL', 'EC2'],
    requiresAttributes: [],
    registeredAt: epochSeconds(state.registeredAtMs),
    deregisteredAt: epochSeconds(state.deregisteredAtMs),
    deleteRequestedAt: epochSeconds(state.deleteRequestedAtMs),
    registeredBy: state.arn.replace(/^arn:aws:ecs:[^:]*:(\d*):.*$/, 'arn:aws:iam::$1:root'),
  };
}

type PortMapping = TaskDefinitionInput['containerDefinitions'][number]['portMappings'][number];

/** 0 stands for a port that each task is given; without a bridge of its own a container has the port it asks for. */
function withHostPort(mapping: PortMapping, networkMode: TaskDefinitionInput['networkMode']): PortMapping {
  const { containerPort, hostPort = 0 } = mapping;
  if (containerPort === undefined) return mapping;
  const isDirect = networkMode === 'host' || networkMode === 'awsvpc';
  return { ...mapping, hostPort: hostPort === 0 && isDirect ? containerPort : hostPort };
}
