/**
 * What an instance of a cluster is launched from: a version of the deployed launch template, which differs from the
 * deployed one in the cluster that its agent registers with. Found by its description, so that no record can lose it.
 */
import { AppError } from '../../errors/index.js';
import type { AwsQuery } from './query.js';
import { membersOf, textOf } from './xml.js';

export interface LaunchTemplateOptions {
  readonly launchTemplate: string;
  /** Of the deployed cluster, which the deployed version's user data names. */
  readonly deployedCluster: string;
}

interface TemplateVersion {
  readonly number: string;
  readonly description: string | undefined;
  readonly userData: string;
}

export class LaunchTemplates {
  constructor(
    private readonly query: AwsQuery,
    private readonly options: LaunchTemplateOptions,
  ) {}

  /** The number of the cluster's version, made now when there is none. */
  async ensure(cluster: string): Promise<string> {
    const versions = await this.versions();
    const own = versions.find(({ description }) => description === descriptionOf(cluster));
    if (own !== undefined) return own.number;
    const deployed = versions.find(({ description }) => description?.startsWith(PREFIX) !== true);
    const userData = Buffer.from(deployed?.userData ?? '', 'base64').toString();
    const line = `ECS_CLUSTER=${this.options.deployedCluster}`;
    if (deployed === undefined || !userData.includes(line)) {
      throw new AppError('LAUNCH_TEMPLATE_UNUSABLE', `${this.options.launchTemplate} does not say ${line}`, {
        kind: 'unsupported',
        hint: 'deploy the cluster by the construct ContainerCluster, whose launch template says it',
      });
    }
    const changed = userData.replaceAll(new RegExp(`${line}(?![\\w-])`, 'g'), `ECS_CLUSTER=${cluster}`);
    const answer = await this.query.call('ec2', 'CreateLaunchTemplateVersion', {
      LaunchTemplateId: this.options.launchTemplate,
      SourceVersion: deployed.number,
      VersionDescription: descriptionOf(cluster),
      'LaunchTemplateData.UserData': Buffer.from(changed).toString('base64'),
    });
    const number = textOf(answer, 'launchTemplateVersion', 'versionNumber');
    if (number !== undefined) return number;
    throw new AppError('EC2_ANSWER_INVALID', 'EC2 made a launch template version without a number', {
      kind: 'internal',
    });
  }

  async remove(cluster: string): Promise<void> {
    const own = (await this.versions()).filter(({ description }) => description === descriptionOf(cluster));
    for (const { number } of own) {
      await this.query.call('ec2', 'DeleteLaunchTemplateVersions', {
        LaunchTemplateId: this.options.launchTemplate,
        'LaunchTemplateVersion.1': number,
      });
    }
  }

  /** Newest first. */
  private async versions(): Promise<readonly TemplateVersion[]> {
    const found: TemplateVersion[] = [];
    let token: string | undefined;
    do {
      const answer = await this.query.call('ec2', 'DescribeLaunchTemplateVersions', {
        LaunchTemplateId: this.options.launchTemplate,
        NextToken: token,
      });
      for (const item of membersOf(answer, 'launchTemplateVersionSet')) {
        found.push({
          number: textOf(item, 'versionNumber') ?? '',
          description: textOf(item, 'versionDescription'),
          userData: textOf(item, 'launchTemplateData', 'userData') ?? '',
        });
      }
      token = textOf(answer, 'nextToken');
    } while (token !== undefined && token !== '');
    return found.sort((a, b) => Number(b.number) - Number(a.number));
  }
}

const PREFIX = 'Wharf cluster ';
const descriptionOf = (cluster: string): string => `${PREFIX}${cluster}`;
