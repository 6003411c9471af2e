/** Names by Service Connect: given, shown, rolled out and back with the service, found by tasks of the cluster. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { aliasAnswers } from '../../lib/engine/agent/names/service-answers.js';
import { RecordType } from '../../lib/engine/agent/names/dns-message.js';
import type { EngineFixture } from './engine-fixture.js';
import { pending, steady, twoInstances } from './service-steps.js';

let fixture: EngineFixture;
beforeEach(async () => {
  fixture = await twoInstances();
  await fixture.definition('web', {}, { portMappings: [{ containerPort: 8080, name: 'http' }] });
});
afterEach(() => fixture.close());

const connect = (more: object = {}, endpoint: object = {}): object => ({
  serviceConnectConfiguration: {
    enabled: true,
    namespace: 'shop',
    services: [{ portName: 'http', ...endpoint }],
    ...more,
  },
});
const service = (more: object = connect()): object => ({
  serviceName: 'web',
  taskDefinition: 'web',
  desiredCount: 1,
  ...more,
});
const addressesOf = async (name: string): Promise<readonly string[] | undefined> =>
  (await fixture.agent.engine?.lookUpAlias?.('default', name))?.tasks.map(({ address }) => address);

async function running(address: string): Promise<void> {
  const [id = ''] = await pending(fixture, 'web', 1);
  fixture.agent.running(id, 'app', { address });
  await fixture.quiet();
}

describe('a service', () => {
  test.each<[what: string, endpoint: object, names: string[]]>([
    ['by the name of its port', {}, ['http.shop']],
    ['by its discovery name', { discoveryName: 'Web' }, ['web.shop']],
    ['by an alias', { clientAliases: [{ port: 8080, dnsName: 'web.internal' }] }, ['web.internal']],
    ['by an alias without a name', { discoveryName: 'web', clientAliases: [{ port: 8080 }] }, ['web.shop']],
  ])('is found %s', async (_, endpoint, names) => {
    await fixture.ecs('CreateService', service(connect({}, endpoint)));
    await running('10.0.0.1');
    for (const name of names) await expect(addressesOf(name)).resolves.toEqual(['10.0.0.1']);
    await expect(addressesOf('other.shop')).resolves.toBeUndefined();
    const answers = (type: number): unknown =>
      aliasAnswers(
        { name: names[0] ?? '', type },
        'default',
        fixture.agent.engine?.lookUpAlias ?? (async () => undefined),
      );
    await expect(answers(RecordType.A)).resolves.toEqual([{ type: 'A', address: '10.0.0.1' }]);
    await expect(answers(RecordType.SRV)).resolves.toMatchObject([{ type: 'SRV', port: 8080 }]);
  });

  test('shows what it was given, also in its revision, and is listed by namespace', async () => {
    const configuration = (connect() as { serviceConnectConfiguration: object }).serviceConnectConfiguration;
    const made = await fixture.ecs('CreateService', service());
    const shown = { serviceConnectConfiguration: configuration, serviceConnectResources: [{ discoveryName: 'http' }] };
    expect(made.service?.deployments).toMatchObject([shown]);
    const { serviceDeployments } = await fixture.ecs('ListServiceDeployments', { service: 'web' });
    const [deployment] = serviceDeployments as { targetServiceRevisionArn: string }[];
    const serviceRevisionArns = [deployment?.targetServiceRevisionArn];
    expect(await fixture.ecs('DescribeServiceRevisions', { serviceRevisionArns })).toMatchObject({
      serviceRevisions: [{ serviceConnectConfiguration: configuration }],
    });
    const arn = 'arn:aws:ecs:eu-central-1:123456789012:service/default/web';
    const listed = async (namespace: string): Promise<unknown> =>
      (await fixture.ecs('ListServicesByNamespace', { namespace }))['serviceArns'];
    expect(await listed('shop')).toEqual([arn]);
    expect(await listed('arn:aws:servicediscovery:eu-central-1:123456789012:namespace/shop')).toEqual([arn]);
    expect(await listed('other')).toEqual([]);
  });

  test('takes the namespace of its cluster, and rolls when it is called otherwise', async () => {
    await fixture.ecs('UpdateCluster', { cluster: 'default', serviceConnectDefaults: { namespace: 'mall' } });
    await fixture.ecs('CreateService', service(connect({ namespace: undefined })));
    await running('10.0.0.1');
    await expect(addressesOf('http.mall')).resolves.toEqual(['10.0.0.1']);
    await steady(fixture, 'web');
    const same = await fixture.ecs('UpdateService', { service: 'web', desiredCount: 1 });
    expect(same.service?.deployments).toHaveLength(1);
    const renamed = await fixture.ecs('UpdateService', { service: 'web', ...connect() });
    expect(renamed.service?.deployments).toHaveLength(2);
    await expect(addressesOf('http.shop')).resolves.toEqual(['10.0.0.1']);
    await expect(addressesOf('http.mall')).resolves.toBeUndefined();
    const off = await fixture.ecs('UpdateService', { service: 'web', serviceConnectConfiguration: { enabled: false } });
    expect(off.service?.deployments[0]).not.toHaveProperty('serviceConnectConfiguration');
    await expect(addressesOf('http.shop')).resolves.toBeUndefined();
  });
});

test.each<[why: string, configuration: object, type: string, word: string]>([
  ['no namespace', connect({ namespace: undefined }), 'InvalidParameterException', 'namespace'],
  ['no such port', connect({}, { portName: 'grpc' }), 'InvalidParameterException', 'portName(grpc)'],
  ['another port', connect({}, { clientAliases: [{ port: 80 }] }), 'UnsupportedFeatureException', '8080'],
  ['TLS', connect({}, { tls: {} }), 'UnsupportedFeatureException', 'tls'],
  ['a proxy’s port', connect({}, { ingressPortOverride: 1 }), 'UnsupportedFeatureException', 'ingressPortOverride'],
])('%s is refused', async (_, configuration, type, word) => {
  const refusal = await fixture.refused('CreateService', service(configuration));
  expect(refusal).toMatchObject({ __type: type, message: expect.stringContaining(word) as unknown });
});
