/**
 * Capacity providers: of our own engine, whose group is told by tags (lib/engine/capacity/group.ts), and of Auto Scaling
 * groups. Those of clusters that were deployed are made by CDK.
 */
import type { CapacityProvider } from '@aws-sdk/client-ecs';
import type { EcsCalls } from './calls.js';

/** Until a new instance counts: ECS's own 300 s hold every second scale-out up. */
const WARM_UP_SECONDS = 90;

export class EcsCapacityProviders {
  constructor(private readonly ecs: EcsCalls) {}

  /** Makes the provider, or gives the one there these tags. Its instances go only when they are empty. */
  async put(name: string, tags: Readonly<Record<string, string>>): Promise<void> {
    const list = Object.entries(tags).map(([key, value]) => ({ key, value }));
    const arn = await this.find(name);
    if (arn !== undefined) {
      await this.ecs.call('TagResource', (sdk, client) =>
        client.send(new sdk.TagResourceCommand({ resourceArn: arn, tags: list })),
      );
      return;
    }
    const autoScalingGroupProvider = {
      autoScalingGroupArn: `arn:aws:autoscaling:local:000000000000:autoScalingGroup:wharf:autoScalingGroupName/${name}`,
      managedScaling: { status: 'ENABLED' as const, targetCapacity: 100 },
      managedTerminationProtection: 'ENABLED' as const,
      managedDraining: 'ENABLED' as const,
    };
    const input = { name, autoScalingGroupProvider, tags: list };
    await this.ecs.call('CreateCapacityProvider', (sdk, client) =>
      client.send(new sdk.CreateCapacityProviderCommand(input)),
    );
  }

  /** The cluster's one provider, and its default; none when undefined. */
  async associate(cluster: string, name: string | undefined): Promise<void> {
    const input = {
      cluster,
      capacityProviders: name === undefined ? [] : [name],
      defaultCapacityProviderStrategy: name === undefined ? [] : [{ capacityProvider: name, weight: 1 }],
    };
    await this.ecs.call('PutClusterCapacityProviders', (sdk, client) =>
      client.send(new sdk.PutClusterCapacityProvidersCommand(input)),
    );
  }

  /** False when there is none. */
  async delete(name: string): Promise<boolean> {
    if ((await this.find(name)) === undefined) return false;
    await this.ecs.call('DeleteCapacityProvider', (sdk, client) =>
      client.send(new sdk.DeleteCapacityProviderCommand({ capacityProvider: name })),
    );
    return true;
  }

  /** One that starts and stops the instances of this group by what tasks ask for; fine when it is there. */
  async make(name: string, autoScalingGroupArn: string, tags: Readonly<Record<string, string>>): Promise<void> {
    if ((await this.find(name)) !== undefined) return;
    const input = {
      name,
      autoScalingGroupProvider: {
        autoScalingGroupArn,
        managedScaling: { status: 'ENABLED' as const, targetCapacity: 100, instanceWarmupPeriod: WARM_UP_SECONDS },
        managedTerminationProtection: 'ENABLED' as const,
        managedDraining: 'ENABLED' as const,
      },
      tags: Object.entries(tags).map(([key, value]) => ({ key, value })),
    };
    await this.ecs.call('CreateCapacityProvider', (sdk, client) =>
      client.send(new sdk.CreateCapacityProviderCommand(input)),
    );
  }

  /** Deletion is a process at ECS: `going` until it has ended. */
  async state(name: string): Promise<'absent' | 'going' | 'there'> {
    const found = await this.describe(name);
    if (found === undefined) return 'absent';
    return found.updateStatus === 'DELETE_IN_PROGRESS' ? 'going' : 'there';
  }

  private async find(name: string): Promise<string | undefined> {
    return (await this.describe(name))?.capacityProviderArn;
  }

  private async describe(name: string): Promise<CapacityProvider | undefined> {
    const { capacityProviders } = await this.ecs.call('DescribeCapacityProviders', (sdk, client) =>
      client.send(new sdk.DescribeCapacityProvidersCommand({ capacityProviders: [name] })),
    );
    return capacityProviders?.find(({ status }) => status !== 'INACTIVE');
  }
}
