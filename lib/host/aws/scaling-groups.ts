/** Auto Scaling groups of clusters that are made over the API. Each call may be repeated, and goes on where it stood. */
import { type AwsQuery, isQueryError } from './query.js';
import { membersOf, textOf, type XmlElement } from './xml.js';

export interface GroupSpec {
  readonly name: string;
  readonly launchTemplate: string;
  readonly version: string;
  readonly subnets: string;
  readonly minimum: number;
  readonly maximum: number;
  readonly tags: Readonly<Record<string, string>>;
}

export interface Group {
  readonly arn: string;
  readonly minimum: number;
  readonly maximum: number;
  /** Of those that are there or about to be. */
  readonly instances: readonly { readonly id: string; readonly isProtected: boolean }[];
  readonly isBeingDeleted: boolean;
}

const INSTANCES_PER_CALL = 50;

export class ScalingGroups {
  constructor(private readonly query: AwsQuery) {}

  async find(name: string): Promise<Group | undefined> {
    const answer = await this.query.call('autoscaling', 'DescribeAutoScalingGroups', {
      'AutoScalingGroupNames.member.1': name,
    });
    const [group] = membersOf(answer, 'DescribeAutoScalingGroupsResult', 'AutoScalingGroups');
    return group === undefined ? undefined : groupOf(group);
  }

  /** Makes the group, or gives the one there these bounds. Instances are protected: their provider takes them away. */
  async put(spec: GroupSpec): Promise<void> {
    const bounds = { MinSize: spec.minimum, MaxSize: spec.maximum };
    const made = {
      AutoScalingGroupName: spec.name,
      ...bounds,
      'LaunchTemplate.LaunchTemplateId': spec.launchTemplate,
      'LaunchTemplate.Version': spec.version,
      VPCZoneIdentifier: spec.subnets,
      NewInstancesProtectedFromScaleIn: true,
    };
    try {
      await this.query.call('autoscaling', 'CreateAutoScalingGroup', { ...made, ...tagParameters(spec.tags) });
    } catch (error) {
      if (!isQueryError(error, /^AlreadyExists/)) throw error;
      await this.query.call('autoscaling', 'UpdateAutoScalingGroup', made);
    }
  }

  /** No new instance comes, and every one may go. */
  async release(name: string, group: Group): Promise<void> {
    if (group.maximum > 0) {
      await this.query.call('autoscaling', 'UpdateAutoScalingGroup', {
        AutoScalingGroupName: name,
        MinSize: 0,
        MaxSize: 0,
        DesiredCapacity: 0,
        NewInstancesProtectedFromScaleIn: false,
      });
    }
    const held = group.instances.filter(({ isProtected }) => isProtected).map(({ id }) => id);
    for (let start = 0; start < held.length; start += INSTANCES_PER_CALL) {
      const ids = held.slice(start, start + INSTANCES_PER_CALL);
      await this.query.call('autoscaling', 'SetInstanceProtection', {
        AutoScalingGroupName: name,
        ProtectedFromScaleIn: false,
        ...Object.fromEntries(ids.map((id, index) => [`InstanceIds.member.${index + 1}`, id])),
      });
    }
  }

  /** With the instances that are left. */
  async delete(name: string): Promise<void> {
    await this.query.call('autoscaling', 'DeleteAutoScalingGroup', { AutoScalingGroupName: name, ForceDelete: true });
  }
}

function groupOf(group: XmlElement): Group {
  return {
    arn: textOf(group, 'AutoScalingGroupARN') ?? '',
    minimum: Number(textOf(group, 'MinSize')),
    maximum: Number(textOf(group, 'MaxSize')),
    instances: membersOf(group, 'Instances').map((instance) => ({
      id: textOf(instance, 'InstanceId') ?? '',
      isProtected: textOf(instance, 'ProtectedFromScaleIn') === 'true',
    })),
    isBeingDeleted: (textOf(group, 'Status') ?? '') !== '',
  };
}

/** Carried over to the instances. */
function tagParameters(tags: Readonly<Record<string, string>>): Record<string, string | boolean> {
  return Object.fromEntries(
    Object.entries(tags).flatMap(([key, value], index) => [
      [`Tags.member.${index + 1}.Key`, key],
      [`Tags.member.${index + 1}.Value`, value],
      [`Tags.member.${index + 1}.PropagateAtLaunch`, true],
    ]),
  );
}
