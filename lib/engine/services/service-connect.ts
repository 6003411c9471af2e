/**
 * Service Connect as far as names go: what a service is called by others of its cluster. There is no proxy, so a name
 * leads to the tasks themselves, and a client alias has to be at the port on which the container listens.
 */
import * as z from 'zod';
import { EcsError, invalidParameter } from '../ecs-error.js';
import type { ClusterState, TaskDefinitionState } from '../state/model.js';
import type { ServiceConnectState } from '../state/service-model.js';

const name = /^[a-z0-9]([a-z0-9.-]{0,126}[a-z0-9])?$/i;
const thing = z.looseObject({});

export const serviceConnectInput = z.object({
  enabled: z.boolean(),
  namespace: z.string().min(1).optional(),
  services: z
    .array(
      z.object({
        portName: z.string(),
        discoveryName: z.string().regex(name, 'letters, digits, hyphens and dots').optional(),
        clientAliases: z
          .array(
            z.object({
              port: z.int().min(1).max(65_535),
              dnsName: z.string().regex(name, 'a DNS name').optional(),
              testTrafficRules: thing.optional(),
            }),
          )
          .max(1)
          .optional(),
        ingressPortOverride: z.int().optional(),
        timeout: thing.optional(),
        tls: thing.optional(),
      }),
    )
    .optional(),
  logConfiguration: thing.optional(),
  accessLogConfiguration: thing.optional(),
  containerConfigurations: z.array(thing).optional(),
});

type ServiceConnectInput = z.infer<typeof serviceConnectInput>;

/** @throws InvalidParameterException, UnsupportedFeatureException @returns undefined when it is not enabled */
export function serviceConnectOf(
  asked: ServiceConnectInput | undefined,
  definition: TaskDefinitionState,
  cluster: Pick<ClusterState, 'serviceConnectDefaults'>,
): ServiceConnectState | undefined {
  if (asked?.enabled !== true) return undefined;
  const named = asked.namespace ?? cluster.serviceConnectDefaults?.namespace;
  if (named === undefined) {
    throw invalidParameter(
      'serviceConnectConfiguration.namespace: none is given, and the cluster has no serviceConnectDefaults.',
    );
  }
  if ((asked.containerConfigurations?.length ?? 0) > 0) {
    throw unsupported('containerConfigurations', 'there is no proxy here; leave it out');
  }
  const namespace = namespaceName(named);
  const endpoints = (asked.services ?? []).map((service) => {
    const { portName, discoveryName = portName, clientAliases = [] } = service;
    for (const member of ['ingressPortOverride', 'tls'] as const) {
      if (service[member] !== undefined) throw unsupported(member, 'there is no proxy here; leave it out');
    }
    if (clientAliases.some(({ testTrafficRules }) => testTrafficRules !== undefined)) {
      throw unsupported('testTrafficRules', 'they are for blue/green deployments; leave them out');
    }
    const mapping = definition.definition.containerDefinitions
      .flatMap(({ portMappings }) => portMappings)
      .find((candidate) => candidate.name === portName);
    if (mapping?.containerPort === undefined) {
      throw invalidParameter(`portName(${portName}) does not refer to any named PortMapping in the task definition.`);
    }
    const other = clientAliases.find(({ port }) => port !== mapping.containerPort);
    if (other !== undefined) {
      throw unsupported(
        `clientAliases port ${String(other.port)}`,
        `without a proxy clients reach the container's own port, ${String(mapping.containerPort)}`,
      );
    }
    const names = clientAliases.map(({ dnsName }) => dnsName ?? `${discoveryName}.${namespace}`);
    const found = names.length === 0 ? [`${discoveryName}.${namespace}`] : names;
    return { portName, discoveryName, names: found.map((each) => each.toLowerCase()) };
  });
  return { configuration: { ...asked, namespace: named }, namespace, endpoints };
}

/** Of `arn:aws:servicediscovery:…:namespace/ns-x` the last part: there is no Cloud Map to ask for its name. */
export function namespaceName(nameOrArn: string): string {
  return nameOrArn.startsWith('arn:') ? nameOrArn.slice(nameOrArn.lastIndexOf('/') + 1) : nameOrArn;
}

const unsupported = (member: string, instead: string): EcsError =>
  new EcsError(
    'UnsupportedFeatureException',
    `serviceConnectConfiguration: ${member} is not supported by this engine: ${instead}.`,
  );
