/**
 * EC2, EC2 Auto Scaling and the clusters of ECS on one port, as far as making and removing capacity goes: what depends on
 * what, what takes time, and what AWS refuses. Looks at the signature, as AWS does, and notes what a user would regret.
 */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { type AccessKey, verifySigV4 } from '../../../lib/auth/index.js';
import { systemClock } from '../../../lib/store/system/clock-system.js';
import { fakeCredentials } from '../s3/index.js';
import { toXml, type XmlValue } from '../s3/xml.js';

interface Instance {
  readonly id: string;
  status: 'ACTIVE' | 'DRAINING';
  isProtected: boolean;
  tasks: number;
}

interface Group {
  readonly name: string;
  readonly arn: string;
  minimum: number;
  maximum: number;
  version: string;
  subnets: string;
  protects: boolean;
  tags: Record<string, string>;
  instances: Instance[];
  /** Looks until it is gone. */
  going: number | undefined;
}

interface Provider {
  readonly name: string;
  readonly group: string;
  readonly settings: Record<string, unknown>;
  going: number | undefined;
}

interface Version {
  readonly number: number;
  readonly description: string;
  readonly userData: string;
}

/** How often something that is being deleted is still seen. */
const LOOKS = 2;
const PREFIX = 'arn:aws:ecs:eu-central-1:123456789012';

class Refusal extends Error {
  constructor(
    readonly code: string,
    message = code,
  ) {
    super(message);
  }
}

export class ClusterCapacityFake {
  readonly groups = new Map<string, Group>();
  readonly providers = new Map<string, Provider>();
  readonly clusters = new Map<string, { providers: string[] }>();
  readonly versions: Version[] = [];
  /** Operations that were done, in order. */
  readonly calls: string[] = [];
  /** What no clean removal does. */
  readonly regrets: string[] = [];
  /** Asked before each operation: whether its answer is lost, or nobody is there to ask for it. */
  before: (operation: string) => 'lost' | 'dead' | undefined = () => undefined;
  private next = 1;

  constructor(userData: string) {
    this.versions.push({ number: 1, description: '', userData: Buffer.from(userData).toString('base64') });
  }

  /** An instance as managed scaling would start it. */
  launch(cluster: string, tasks = 0): void {
    const group = [...this.groups.values()].find(({ tags }) => tags['wharf:cluster'] === cluster);
    if (group === undefined || group.instances.length >= group.maximum) throw new Error(`no room in ${cluster}`);
    const id = `i-${this.next++}`;
    group.instances.push({ id, status: 'ACTIVE', isProtected: group.protects, tasks });
  }

  get isEmpty(): boolean {
    return (
      this.groups.size === 0 && this.providers.size === 0 && this.clusters.size === 0 && this.versions.length === 1
    );
  }

  query(action: string, form: URLSearchParams): object {
    const name = form.get('AutoScalingGroupName') ?? form.get('AutoScalingGroupNames.member.1') ?? '';
    switch (action) {
      case 'DescribeLaunchTemplateVersions':
        return { launchTemplateVersionSet: { item: this.versions.map(versionView) } };
      case 'CreateLaunchTemplateVersion': {
        const version = {
          number: Math.max(...this.versions.map(({ number }) => number)) + 1,
          description: form.get('VersionDescription') ?? '',
          userData: form.get('LaunchTemplateData.UserData') ?? '',
        };
        this.versions.push(version);
        return { launchTemplateVersion: versionView(version) };
      }
      case 'DeleteLaunchTemplateVersions': {
        const number = Number(form.get('LaunchTemplateVersion.1'));
        if ([...this.groups.values()].some(({ version }) => version === String(number)))
          this.regrets.push(`version ${number} went before its group`);
        this.versions.splice(0, this.versions.length, ...this.versions.filter((each) => each.number !== number));
        return {};
      }
      case 'DescribeAutoScalingGroups': {
        const group = this.seen(this.groups, name);
        const members = group === undefined ? [] : [groupView(group)];
        return { DescribeAutoScalingGroupsResult: { AutoScalingGroups: { member: members } } };
      }
      case 'CreateAutoScalingGroup':
        if (this.groups.has(name)) throw new Refusal('AlreadyExists');
        this.groups.set(name, {
          ...groupOf(name),
          ...settingsOf(form),
          tags: tagsOf(form),
          instances: [],
          going: undefined,
        });
        return {};
      case 'UpdateAutoScalingGroup':
        Object.assign(this.group(name), settingsOf(form));
        return {};
      case 'SetInstanceProtection': {
        const ids = [...form].flatMap(([key, value]) => (key.startsWith('InstanceIds.') ? [value] : []));
        for (const instance of this.group(name).instances) if (ids.includes(instance.id)) instance.isProtected = false;
        return {};
      }
      case 'DeleteAutoScalingGroup': {
        const group = this.group(name);
        if ([...this.providers.values()].some(({ group: arn }) => arn === group.arn)) {
          this.regrets.push(`group ${name} went before its capacity provider`);
        }
        for (const { id, tasks, status } of group.instances) {
          if (tasks > 0 || status !== 'DRAINING') this.regrets.push(`instance ${id} was ended undrained`);
        }
        group.going = LOOKS;
        return {};
      }
      default:
        throw new Refusal('InvalidAction', action);
    }
  }

  ecs(operation: string, input: Record<string, unknown>): object {
    const { cluster: named, clusterName = named } = input;
    const cluster = typeof clusterName === 'string' ? clusterName : '';
    switch (operation) {
      case 'CreateCluster':
        if (!this.clusters.has(cluster)) this.clusters.set(cluster, { providers: [] });
        return { cluster: this.clusterView(cluster) };
      case 'DescribeClusters': {
        const names = (input['clusters'] as string[]).filter((name) => this.clusters.has(name));
        return { clusters: names.map((name) => this.clusterView(name)) };
      }
      case 'PutClusterCapacityProviders': {
        const wanted = input['capacityProviders'] as string[];
        const gone = this.cluster(cluster).providers.filter((name) => !wanted.includes(name));
        if (gone.length > 0 && this.instancesOf(cluster).some(({ tasks }) => tasks > 0)) {
          throw new Refusal('ResourceInUseException', 'tasks use the capacity provider');
        }
        this.cluster(cluster).providers = wanted;
        return { cluster: this.clusterView(cluster) };
      }
      case 'CreateCapacityProvider': {
        const { autoScalingGroupArn, ...settings } = input['autoScalingGroupProvider'] as Record<string, unknown>;
        const name = String(input['name']);
        if (![...this.groups.values()].some(({ arn, going }) => arn === autoScalingGroupArn && going === undefined)) {
          throw new Refusal('ClientException', 'the Auto Scaling group does not exist');
        }
        if (this.providers.has(name)) throw new Refusal('ClientException', 'it exists already');
        this.providers.set(name, { name, group: String(autoScalingGroupArn), settings, going: undefined });
        return { capacityProvider: { name } };
      }
      case 'DescribeCapacityProviders': {
        const [name = ''] = input['capacityProviders'] as string[];
        const provider = this.seen(this.providers, name);
        return { capacityProviders: provider === undefined ? [] : [providerView(provider)] };
      }
      case 'DeleteCapacityProvider': {
        const provider = this.providers.get(String(input['capacityProvider']));
        if (provider === undefined) throw new Refusal('ClientException', 'there is none');
        if ([...this.clusters.values()].some(({ providers }) => providers.includes(provider.name))) {
          throw new Refusal('ResourceInUseException', 'a cluster has it');
        }
        provider.going ??= LOOKS;
        return { capacityProvider: providerView(provider) };
      }
      case 'ListTasks':
        // Those that a test gives to instances have no service and end with them.
        return { taskArns: [] };
      case 'ListContainerInstances':
        return { containerInstanceArns: this.instancesOf(cluster).map(({ id }) => id) };
      case 'DescribeContainerInstances':
        return {
          containerInstances: this.instancesOf(cluster).map(({ id, status }) => ({ containerInstanceArn: id, status })),
        };
      case 'UpdateContainerInstancesState': {
        const ids = input['containerInstances'] as string[];
        for (const instance of this.instancesOf(cluster)) if (ids.includes(instance.id)) instance.status = 'DRAINING';
        return { failures: [] };
      }
      case 'DeleteCluster':
        if (this.instancesOf(cluster).length > 0) throw new Refusal('ClusterContainsContainerInstancesException');
        if (this.cluster(cluster).providers.length > 0) throw new Refusal('ClusterContainsCapacityProviderException');
        this.clusters.delete(cluster);
        return {};
      default:
        throw new Refusal('UnknownOperationException', operation);
    }
  }

  private instancesOf(cluster: string): Instance[] {
    return [...this.groups.values()]
      .filter(({ tags }) => tags['wharf:cluster'] === cluster)
      .flatMap((g) => g.instances);
  }

  private cluster(name: string): { providers: string[] } {
    const found = this.clusters.get(name);
    if (found === undefined) throw new Refusal('ClusterNotFoundException');
    return found;
  }

  private group(name: string): Group {
    const found = this.groups.get(name);
    if (found === undefined) throw new Refusal('ValidationError', `AutoScalingGroup name not found: ${name}`);
    return found;
  }

  private seen<T extends { going: number | undefined }>(all: Map<string, T>, name: string): T | undefined {
    const found = all.get(name);
    if (found?.going === undefined) return found;
    if (found.going === 0) {
      all.delete(name);
      return undefined;
    }
    found.going -= 1;
    return found;
  }

  private clusterView(name: string): object {
    const { providers } = this.cluster(name);
    return {
      clusterName: name,
      clusterArn: `${PREFIX}:cluster/${name}`,
      status: 'ACTIVE',
      capacityProviders: providers,
    };
  }
}

export interface RunningCapacityFake {
  readonly fake: ClusterCapacityFake;
  readonly endpoint: string;
  close(): Promise<void>;
}

export async function startClusterCapacity(userData: string): Promise<RunningCapacityFake> {
  const fake = new ClusterCapacityFake(userData);
  const server = createServer((request, response) => {
    void (async () => {
      const body = await text(request);
      const target = /\.(\w+)$/.exec(String(request.headers['x-amz-target'] ?? ''))?.[1];
      const form = new URLSearchParams(target === undefined ? body : '');
      const operation = target ?? form.get('Action') ?? '';
      const { status, answer, isLost } = await answered(fake, request, body, operation, form, target !== undefined);
      if (isLost) response.destroy();
      else response.writeHead(status).end(answer);
    })().catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    fake,
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answered(
  fake: ClusterCapacityFake,
  request: IncomingMessage,
  body: string,
  operation: string,
  form: URLSearchParams,
  isJson: boolean,
): Promise<{ readonly status: number; readonly answer: string; readonly isLost: boolean }> {
  const fail = (code: string, message: string): string =>
    isJson
      ? JSON.stringify({ __type: code, message })
      : toXml('ErrorResponse', { Error: { Code: code, Message: message } });
  try {
    if (!isJson) await checkSigned(request, body, operation);
    const fate = fake.before(operation);
    if (fate === 'dead') throw new Refusal('NobodyAsks');
    const result = isJson
      ? fake.ecs(operation, JSON.parse(body) as Record<string, unknown>)
      : fake.query(operation, form);
    fake.calls.push(operation);
    const answer = isJson ? JSON.stringify(result) : toXml(`${operation}Response`, result as XmlValue);
    return { status: 200, answer, isLost: fate === 'lost' };
  } catch (error) {
    const { code, message } = error instanceof Refusal ? error : new Refusal('InternalFailure', String(error));
    return { status: 400, answer: fail(code, message), isLost: false };
  }
}

/** @throws Refusal when the signature is not that of the account's key */
async function checkSigned(request: IncomingMessage, body: string, operation: string): Promise<void> {
  const service = /LaunchTemplate/.test(operation) ? 'ec2' : 'autoscaling';
  const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
  const signed = { method: 'POST', path: '/', query: '', headers, body: Buffer.from(body) };
  const find = (id: string): Promise<AccessKey<string> | undefined> =>
    Promise.resolve(
      id === fakeCredentials.accessKeyId ? { secret: fakeCredentials.secretAccessKey, owner: id } : undefined,
    );
  const result = await verifySigV4(signed, find, { service, clock: systemClock });
  if (result.outcome === 'refused') throw new Refusal('SignatureDoesNotMatch', result.message);
}

function groupOf(name: string): { name: string; arn: string } {
  return { name, arn: `arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:u:autoScalingGroupName/${name}` };
}

function settingsOf(form: URLSearchParams): Pick<Group, 'minimum' | 'maximum' | 'version' | 'subnets' | 'protects'> {
  return {
    minimum: Number(form.get('MinSize')),
    maximum: Number(form.get('MaxSize')),
    version: form.get('LaunchTemplate.Version') ?? '',
    subnets: form.get('VPCZoneIdentifier') ?? '',
    protects: form.get('NewInstancesProtectedFromScaleIn') === 'true',
  };
}

function tagsOf(form: URLSearchParams): Record<string, string> {
  const keys = [...form.keys()].filter((key) => /^Tags\.member\.\d+\.Key$/.test(key));
  return Object.fromEntries(keys.map((key) => [form.get(key) ?? '', form.get(key.replace('Key', 'Value')) ?? '']));
}

function versionView({ number, description, userData }: Version): object {
  return { versionNumber: number, versionDescription: description, launchTemplateData: { userData } };
}

function groupView({ name, arn, minimum, maximum, instances, going }: Group): object {
  return {
    ...{ AutoScalingGroupName: name, AutoScalingGroupARN: arn, MinSize: minimum, MaxSize: maximum },
    Instances: {
      member: instances.map(({ id, isProtected }) => ({ InstanceId: id, ProtectedFromScaleIn: isProtected })),
    },
    ...(going === undefined ? {} : { Status: 'Delete in progress' }),
  };
}

function providerView({ name, group, settings, going }: Provider): object {
  return {
    name,
    capacityProviderArn: `${PREFIX}:capacity-provider/${name}`,
    status: 'ACTIVE',
    autoScalingGroupProvider: { autoScalingGroupArn: group, ...settings },
    ...(going === undefined ? {} : { updateStatus: 'DELETE_IN_PROGRESS' }),
  };
}
