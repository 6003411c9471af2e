/**
 * Capacity providers of our own engine, whose group is told by tags (lib/engine/capacity/group.ts). On AWS they are
 * made by CDK, so nothing there asks for these.
 */
import {
  CreateCapacityProviderCommand,
  DeleteCapacityProviderCommand,
  DescribeCapacityProvidersCommand,
  PutClusterCapacityProvidersCommand,
  TagResourceCommand,
} from '@aws-sdk/client-ecs';
import type { EcsCalls } from './calls.js';

export class EcsCapacityProviders {
  constructor(private readonly ecs: EcsCalls) {}

  /** Makes the provider, or gives the one there these tags. Its instances go only when they are empty. */
  async put(name: string, tags: Readonly<Record<string, string>>): Promise<void> {
    const list = Object.entries(tags).map(([key, value]) => ({ key, value }));
    const arn = await this.find(name);
    if (arn !== undefined) {
      await this.ecs.call('TagResource', () =>
        this.ecs.client.send(new TagResourceCommand({ resourceArn: arn, tags: list })),
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
    await this.ecs.call('CreateCapacityProvider', () => this.ecs.client.send(new CreateCapacityProviderCommand(input)));
  }

  /** The cluster's one provider, and its default; none when undefined. */
  async associate(cluster: string, name: string | undefined): Promise<void> {
    const input = {
      cluster,
      capacityProviders: name === undefined ? [] : [name],
      defaultCapacityProviderStrategy: name === undefined ? [] : [{ capacityProvider: name, weight: 1 }],
    };
    await this.ecs.call('PutClusterCapacityProviders', () =>
      this.ecs.client.send(new PutClusterCapacityProvidersCommand(input)),
    );
  }

  /** False when there is none. */
  async delete(name: string): Promise<boolean> {
    if ((await this.find(name)) === undefined) return false;
    await this.ecs.call('DeleteCapacityProvider', () =>
      this.ecs.client.send(new DeleteCapacityProviderCommand({ capacityProvider: name })),
    );
    return true;
  }

  private async find(name: string): Promise<string | undefined> {
    const { capacityProviders } = await this.ecs.call('DescribeCapacityProviders', () =>
      this.ecs.client.send(new DescribeCapacityProvidersCommand({ capacityProviders: [name] })),
    );
    return capacityProviders?.[0]?.capacityProviderArn;
  }
}
