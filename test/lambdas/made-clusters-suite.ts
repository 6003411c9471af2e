/** Clusters made over the API and removed again, by the bundled functions, where the app has `MadeClusters`. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type RunningCapacityFake, startClusterCapacity } from '../fakes/account/cluster-capacity.js';
import type { LambdaFunction } from '../fakes/lambda/function.js';
import { eventOf } from '../fakes/lambda/gateway.js';
import { ADMIN_TOKEN, type Cloud } from './cloud.js';

const USER_DATA = '#!/bin/bash\necho "ECS_CLUSTER=wharf" >> /etc/ecs/ecs.config\n';
const SCHEDULE = { source: 'aws.events', 'detail-type': 'Scheduled Event' };
/** Each look of the schedule brings a removal one step on. */
const MOST_LOOKS = 20;

export function madeClustersSuite(cloud: () => Cloud): void {
  describe('clusters made over the API function', () => {
    let ec2: RunningCapacityFake;
    let api: LambdaFunction;
    let reconciler: LambdaFunction;
    beforeAll(async () => {
      ec2 = await startClusterCapacity(USER_DATA);
      const settings = {
        WHARF_LAUNCH_TEMPLATE: 'lt-1',
        WHARF_SUBNETS: 'subnet-a,subnet-b',
        AWS_ENDPOINT_URL_EC2: ec2.endpoint,
        AWS_ENDPOINT_URL_AUTO_SCALING: ec2.endpoint,
        AWS_ENDPOINT_URL_ECS: ec2.endpoint,
      };
      api = cloud().another('api', settings);
      reconciler = cloud().another('reconciler', settings);
    });
    afterAll(async () => {
      await api.close();
      await reconciler.close();
      await ec2.close();
    });

    async function ask(method: string, path: string, body?: object): Promise<{ status: number; text: string }> {
      const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, host: 'x', 'content-type': 'application/json' };
      const sent = Buffer.from(body === undefined ? '' : JSON.stringify(body));
      const answer = await api.invoke<{ statusCode: number; body: string }>(
        eventOf({ method, url: path, headers }, sent),
      );
      return { status: answer.statusCode, text: answer.body };
    }

    test('are of a template version, a group, a provider and a cluster of one name', async () => {
      const made = await ask('PUT', '/v1/clusters/wharf-batch', { instances: 3 });
      expect([made.status, JSON.parse(made.text)]).toMatchObject([201, { name: 'wharf-batch', status: 'active' }]);
      const { fake } = ec2;
      expect([[...fake.groups.keys()], [...fake.providers.keys()], [...fake.clusters.keys()]]).toEqual([
        ['wharf-batch'],
        ['wharf-batch'],
        ['wharf-batch'],
      ]);
      const [, version] = fake.versions;
      expect(Buffer.from(version?.userData ?? '', 'base64').toString()).toContain('ECS_CLUSTER=wharf-batch"');
    });

    test('are refused under a name beyond the rights of the functions', async () => {
      const { status, text } = await ask('PUT', '/v1/clusters/batch', { instances: 1 });
      expect([status, text]).toEqual([expect.any(Number), expect.stringContaining('CLUSTER_UNSUPPORTED')]);
      expect(status).toBeGreaterThanOrEqual(400);
    });

    test('are removed in the order that AWS wants, by the API and then the schedule, with nothing left', async () => {
      const { fake } = ec2;
      fake.launch('wharf-batch');
      const removed = await ask('DELETE', '/v1/clusters/wharf-batch');
      expect(removed.status).toBeLessThan(300);
      for (let look = 0; look < MOST_LOOKS && !fake.isEmpty; look += 1) await reconciler.invoke(SCHEDULE);
      expect([fake.isEmpty, fake.regrets]).toEqual([true, []]);
      expect((await ask('GET', '/v1/clusters/wharf-batch')).status).toBe(404);
    });
  });
}
