/** Services of ECS. */
import type { CreateServiceCommandInput, Service, UpdateServiceCommandInput } from '@aws-sdk/client-ecs';
import { absentIsFine, type EcsCalls, present } from './calls.js';
import { isEcsError } from './errors.js';

const SERVICES_PER_CALL = 10;
const ABSENT = ['ServiceNotFoundException', 'ServiceNotActiveException', 'ClusterNotFoundException'];

export class EcsServices {
  constructor(private readonly ecs: EcsCalls) {}

  async create(input: CreateServiceCommandInput): Promise<Service> {
    const output = await this.ecs.call('CreateService', (sdk, client) =>
      client.send(new sdk.CreateServiceCommand(input)),
    );
    return present(output.service, 'CreateService', 'service');
  }

  async update(input: UpdateServiceCommandInput): Promise<Service> {
    const output = await this.ecs.call('UpdateService', (sdk, client) =>
      client.send(new sdk.UpdateServiceCommand(input)),
    );
    return present(output.service, 'UpdateService', 'service');
  }

  /** False when there was none, or none that still runs. */
  async delete(cluster: string, service: string): Promise<boolean> {
    return absentIsFine(ABSENT, () =>
      this.ecs.call('DeleteService', (sdk, client) =>
        client.send(new sdk.DeleteServiceCommand({ cluster, service, force: true })),
      ),
    );
  }

  /** Services ECS knows of these names; the others are left out, all of them when the cluster is gone. */
  async describe(cluster: string, names: readonly string[]): Promise<readonly Service[]> {
    try {
      return await this.ecs.batched(names, SERVICES_PER_CALL, async (services) => {
        const output = await this.ecs.call('DescribeServices', (sdk, client) =>
          client.send(new sdk.DescribeServicesCommand({ cluster, services })),
        );
        return output.services ?? [];
      });
    } catch (error) {
      if (isEcsError(error, 'ClusterNotFoundException')) return [];
      throw error;
    }
  }
}
