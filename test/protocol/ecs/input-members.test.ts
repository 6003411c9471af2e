/**
 * Every member that the service model has in an operation's input is known to the engine: it is taken, or refused by its
 * name. What an input schema does not know is dropped without a word, which would be a success that did nothing.
 */
import { expect, test } from '@jest/globals';
import * as sdk from '@aws-sdk/client-ecs';
import * as z from 'zod';
import { SERVED } from '../../../lib/engine/api/operations.js';
import { createEngineFixture } from '../../engine/engine-fixture.js';

type Schema = number | readonly unknown[] | (() => Schema);
const KIND = { list: 1, structure: 3 };

/** Ours is what the request is about anyway: ECS does not look at these either. */
const NOT_LOOKED_AT = [
  'RegisterContainerInstance.attributes.targetType',
  'RegisterContainerInstance.attributes.targetId',
];

function unknownMembers(model: Schema, ours: unknown, path: string): string[] {
  if (typeof model === 'function') return unknownMembers(model(), ours, path);
  if (typeof model === 'number') return [];
  if (typeof model[0] !== 'number') return unknownMembers(model[0] as Schema, ours, path);
  if (ours instanceof z.ZodOptional || ours instanceof z.ZodDefault) return unknownMembers(model, ours.unwrap(), path);
  if (model[0] === KIND.list) {
    return ours instanceof z.ZodArray ? unknownMembers(model[4] as Schema, ours.element, path) : [];
  }
  if (model[0] !== KIND.structure) return [];
  if (!(ours instanceof z.ZodObject)) return [`${path} is no object here`];
  const names = model[4] as readonly string[];
  const members = model[5] as readonly Schema[];
  return names.flatMap((name, index) => {
    const own: unknown = ours.shape[name];
    // A loose object is kept or refused whole.
    if (own === undefined) return ours.def.catchall === undefined ? [`${path}.${name}`] : [];
    return unknownMembers(members[index] ?? 0, own, `${path}.${name}`);
  });
}

const modelOf = (operation: string): Schema =>
  (sdk as unknown as Readonly<Record<string, readonly Schema[]>>)[`${operation}$`]?.[4] ?? 0;

test('the check sees a member that is not known, at any depth', () => {
  const ours = z.object({ cluster: z.string(), tags: z.array(z.object({ key: z.string() })).optional() });
  const found = unknownMembers(modelOf('RunTask'), ours, 'RunTask');
  expect(found).toEqual(expect.arrayContaining(['RunTask.tags.value', 'RunTask.clientToken']));
  expect(found).not.toContain('RunTask.tags.key');
});

test.each(Object.entries(SERVED))('%s knows every member of its input', (name, { input }) => {
  const known = unknownMembers(modelOf(name), input, name).filter((path) => !NOT_LOOKED_AT.includes(path));
  expect(known).toEqual([]);
});

const SERVICE = { serviceName: 'web', taskDefinition: 'web', desiredCount: 1 };
const connect = (more: object): object => ({
  ...SERVICE,
  serviceConnectConfiguration: { enabled: true, namespace: 'shop', ...more },
});

test.each<[operation: string, input: object, member: string, type?: string]>([
  ['CreateService', { ...SERVICE, monitoring: {} }, 'monitoring'],
  ['CreateService', { ...SERVICE, gatewayConnectors: [{}] }, 'gatewayConnectors'],
  ['CreateService', connect({ containerConfigurations: [{}] }), 'containerConfigurations'],
  [
    'CreateService',
    connect({ services: [{ portName: 'http', clientAliases: [{ port: 80, testTrafficRules: {} }] }] }),
    'testTrafficRules',
  ],
  ['UpdateCapacityProvider', { name: 'x', managedInstancesProvider: {} }, 'managedInstancesProvider'],
  ['ListTasks', { daemonName: 'x' }, 'daemonName', 'InvalidParameterException'],
])('%s %j names what it does not do', async (operation, input, member, type = 'UnsupportedFeatureException') => {
  const engine = await createEngineFixture();
  try {
    await engine.definition('web');
    expect(await engine.refused(operation, input)).toMatchObject({
      __type: type,
      message: expect.stringContaining(member) as unknown,
    });
  } finally {
    await engine.close();
  }
});
