/** Clusters made and removed over the API on AWS: complete, in order, and whoever dies at any call. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { toAppError } from '../../lib/errors/index.js';
import { LaunchTemplates } from '../../lib/host/aws/launch-templates.js';
import { MadeCapacity } from '../../lib/host/aws/made-capacity.js';
import { AwsQuery } from '../../lib/host/aws/query.js';
import { ScalingGroups } from '../../lib/host/aws/scaling-groups.js';
import { ecsClient } from '../../lib/platform/ecs/sdk.js';
import { Ecs } from '../../lib/platform/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import type { Clock } from '../../lib/store/index.js';
import { type RunningCapacityFake, startClusterCapacity } from '../fakes/account/cluster-capacity.js';
import { fakeCredentials } from '../fakes/s3/index.js';

const USER_DATA = '#!/bin/bash\necho "ECS_CLUSTER=wharf" >> /etc/ecs/ecs.config\n# ECS_CLUSTER=wharf-other stays\n';
const NAME = 'wharf-batch';
const clock: Clock = { nowMs: () => systemClock.nowMs(), sleep: () => Promise.resolve() };

let running: RunningCapacityFake;
let client: ReturnType<typeof ecsClient>;
let capacity: MadeCapacity;
beforeEach(async () => {
  running = await startClusterCapacity(USER_DATA);
  const { endpoint } = running;
  client = ecsClient({ region: 'eu-central-1', endpoint, credentials: fakeCredentials });
  const query = new AwsQuery(clock, {
    region: 'eu-central-1',
    credentials: () => Promise.resolve(fakeCredentials),
    environment: { AWS_ENDPOINT_URL_EC2: endpoint, AWS_ENDPOINT_URL_AUTO_SCALING: endpoint },
  });
  capacity = new MadeCapacity(
    {
      ecs: new Ecs(client, clock),
      templates: new LaunchTemplates(query, { launchTemplate: 'lt-1', deployedCluster: 'wharf' }),
      groups: new ScalingGroups(query),
    },
    { deployedCluster: 'wharf', launchTemplate: 'lt-1', subnets: 'subnet-a,subnet-b', maxInstances: 10 },
  );
});
afterEach(async () => {
  client.destroy();
  await running.close();
});

async function make(instances = 3): Promise<void> {
  await capacity.ensure(NAME, { instances });
}

/** Asks again while AWS is at it, as the reconciler does every minute. */
async function insist(work: () => Promise<void>, most = 40): Promise<void> {
  for (let asked = 0; asked < most; asked += 1) {
    try {
      await work();
      return;
    } catch (error) {
      if (!['conflict', 'unavailable'].includes(toAppError(error).kind)) throw error;
    }
  }
  throw new Error(`not after ${most} times`);
}

function expectWhole(): void {
  const { groups, providers, clusters, versions } = running.fake;
  expect(versions.map(({ description }) => description)).toEqual(['', `Wharf cluster ${NAME}`]);
  expect([...groups.values()]).toMatchObject([
    { name: NAME, minimum: 0, maximum: 3, version: '2', subnets: 'subnet-a,subnet-b', protects: true },
  ]);
  expect([...providers.values()]).toMatchObject([
    {
      name: NAME,
      group: [...groups.values()][0]?.arn,
      settings: {
        managedScaling: { status: 'ENABLED' },
        managedTerminationProtection: 'ENABLED',
        managedDraining: 'ENABLED',
      },
    },
  ]);
  expect([...clusters]).toEqual([[NAME, { providers: [NAME] }]]);
}

describe('a cluster that is made', () => {
  test('has a version of the launch template, a group, a provider and a cluster of its own', async () => {
    await make();
    expectWhole();
    const [, version] = running.fake.versions;
    expect(Buffer.from(version?.userData ?? '', 'base64').toString()).toBe(
      '#!/bin/bash\necho "ECS_CLUSTER=wharf-batch" >> /etc/ecs/ecs.config\n# ECS_CLUSTER=wharf-other stays\n',
    );
    expect([...running.fake.groups.values()][0]?.tags).toEqual({
      application: 'wharf',
      'wharf:installation': 'wharf',
      'wharf:cluster': NAME,
      AmazonECSManaged: '',
    });
  });

  test('is changed by asking for another size, and nothing is made twice', async () => {
    await make();
    await make();
    expectWhole();
    await capacity.ensure(NAME, { instances: 2, maximum: 5 });
    expect([...running.fake.groups.values()]).toMatchObject([{ minimum: 2, maximum: 5 }]);
    expect(await capacity.describe(NAME)).toMatchObject({ instances: 0, maximum: 5 });
    await expect(capacity.ensure(NAME, { instances: 11 })).rejects.toMatchObject({ code: 'CAPACITY_UNSUPPORTED' });
    await expect(capacity.ensure(NAME, { instances: 3, maximum: 2 })).rejects.toMatchObject({
      code: 'CAPACITY_INVALID',
    });
  });

  test('stays while tasks run on it, and its instances take no new ones', async () => {
    await make();
    running.fake.launch(NAME, 1);
    await expect(capacity.remove(NAME)).rejects.toMatchObject({ code: 'ECS_RESOURCE_IN_USE', kind: 'conflict' });
    const [group] = running.fake.groups.values();
    expect(group?.instances).toMatchObject([{ status: 'DRAINING' }]);
    expect(running.fake.calls).not.toContain('DeleteCapacityProvider');
    for (const instance of group?.instances ?? []) instance.tasks = 0;
    await insist(() => capacity.remove(NAME));
    expect([running.fake.isEmpty, running.fake.regrets]).toEqual([true, []]);
  });

  test('goes in order: instances drained, the provider, its group, the version, the cluster', async () => {
    await make();
    running.fake.launch(NAME);
    running.fake.launch(NAME);
    running.fake.calls.length = 0;
    await insist(() => capacity.remove(NAME));
    expect([running.fake.isEmpty, running.fake.regrets]).toEqual([true, []]);
    const steps = running.fake.calls.filter((call) => !/^(Describe|List)/.test(call));
    expect([...new Set(steps)]).toEqual([
      'UpdateContainerInstancesState',
      'PutClusterCapacityProviders',
      'UpdateAutoScalingGroup',
      'SetInstanceProtection',
      'DeleteCapacityProvider',
      'DeleteAutoScalingGroup',
      'DeleteLaunchTemplateVersions',
      'DeleteCluster',
    ]);
    // And once more is fine.
    await capacity.remove(NAME);
  });

  test('is whole, and gone again, whichever call a process dies at', async () => {
    let deaths = 0;
    /** The k-th write, and every call after it, is never made; or is made and never heard of. */
    const dyingAt = async (k: number, moment: 'before' | 'after', work: () => Promise<void>): Promise<boolean> => {
      let calls = 0;
      running.fake.before = (operation) => {
        const isRead = /^(Describe|List)/.test(operation);
        if (isRead) return calls < k ? undefined : 'dead';
        calls += 1;
        if (calls < k) return undefined;
        return calls > k || moment === 'before' ? 'dead' : 'lost';
      };
      await work().catch(() => undefined);
      running.fake.before = () => undefined;
      return calls >= k;
    };
    for (const moment of ['before', 'after'] as const) {
      for (let k = 1; ; k += 1) {
        const died = await dyingAt(k, moment, () => make());
        await make();
        expectWhole();
        running.fake.launch(NAME);
        const diedToo = await dyingAt(k, moment, () => insist(() => capacity.remove(NAME), 8));
        await insist(() => capacity.remove(NAME));
        expect([running.fake.isEmpty, running.fake.regrets]).toEqual([true, []]);
        deaths += Number(died) + Number(diedToo);
        if (!died && !diedToo) break;
      }
    }
    expect(deaths).toBeGreaterThan(20);
  });

  test('has a name that begins as the deployed one, which is how far the rights of functions go', async () => {
    await expect(capacity.ensure('batch', { instances: 1 })).rejects.toMatchObject({
      code: 'CLUSTER_UNSUPPORTED',
      hint: 'a name such as wharf-batch, or wharf itself',
    });
    expect(running.fake.calls).toEqual([]);
  });

  test('is refused where the launch template does not say which cluster it is for', async () => {
    running.fake.versions.splice(0, 1, { number: 1, description: '', userData: Buffer.from('no').toString('base64') });
    await expect(capacity.ensure(NAME, { instances: 1 })).rejects.toMatchObject({
      code: 'LAUNCH_TEMPLATE_UNUSABLE',
    });
  });
});
