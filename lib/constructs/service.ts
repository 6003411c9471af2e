/**
 * A service of the platform, declared in a template: an image, how many, ports, environment, health. A change of it is
 * a new release, rolled over as any other; a deployment that fails fails the stack with the platform's sentence, and
 * CloudFormation's roll-back deploys what was there before.
 */
import { CustomResource, Stack, Token } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { clusterName, ServiceSpec, serviceName } from '../http/schemas/index.js';
import type { IEdge } from './edge.js';
import type { ServiceImage } from './service-image.js';
import { ServiceProvider } from './service-provider.js';
import { checkKnown, refusedProp } from './refused-prop.js';

/** A port of the container. */
export interface ServicePort {
  readonly container: number;
  /** A fixed port of the instance. @default - a free one */
  readonly host?: number;
  /** `tcp` or `udp`. @default tcp */
  readonly protocol?: 'tcp' | 'udp';
}

/** A command that says by its exit code whether the container does its work. */
export interface ServiceHealth {
  /** Run inside the container. */
  readonly command: string[];
  /** 5 to 300. @default 10 */
  readonly intervalSeconds?: number;
  /** 2 to 60. @default 5 */
  readonly timeoutSeconds?: number;
  /** 1 to 10. @default 3 */
  readonly retries?: number;
  /** 0 to 300; failures in it do not count. @default 0 */
  readonly startPeriodSeconds?: number;
}

export interface ServiceProps {
  /** The platform: `wharf.edge`, or `Edge.fromEdgeAttributes(…)`. */
  readonly edge: IEdge;
  readonly image: ServiceImage;
  /** What asks the platform. @default - one for the stack and the platform, made by the first service */
  readonly provider?: ServiceProvider;
  /** Its name on the platform, a DNS label of at most 32 characters. Another name is another service. @default - the id, in lower case */
  readonly serviceName?: string;
  /** @default - the platform's own cluster */
  readonly clusterName?: string;
  /** Containers that run. @default 1 */
  readonly count?: number;
  /** @default - CMD of the image */
  readonly command?: string[];
  /** @default - ENTRYPOINT of the image */
  readonly entrypoint?: string[];
  /** In the template, and in the release: nothing secret. @default - none */
  readonly env?: { readonly [name: string]: string };
  /** @default - those that the image EXPOSEs */
  readonly ports?: ServicePort[];
  /** @default - HEALTHCHECK of the image, if it has one */
  readonly health?: ServiceHealth;
  /** ECS CPU units; 1,024 are one core. @default 128 */
  readonly cpu?: number;
  /** A hard limit. @default 128 */
  readonly memoryMiB?: number;
  /** @default - USER of the image */
  readonly user?: string;
  /** @default - WORKDIR of the image */
  readonly workingDirectory?: string;
  /** @default false */
  readonly readonlyRootFilesystem?: boolean;
  /** Between SIGTERM and SIGKILL. @default 30 */
  readonly stopTimeoutSeconds?: number;
}

/** Props that are the platform's under the same name. */
const SAME = [
  ...(['command', 'entrypoint', 'env', 'ports', 'health', 'cpu'] as const),
  ...(['user', 'workingDirectory', 'readonlyRootFilesystem', 'stopTimeoutSeconds'] as const),
] as const;

/** @example new Service(this, 'Web', { edge: wharf.edge, image: ServiceImage.fromRegistry('team/web:1'), count: 2 }) */
export class Service extends Construct {
  readonly serviceName: string;
  readonly clusterName: string;
  readonly provider: ServiceProvider;
  readonly resource: CustomResource;
  /** The number of the release, known when it is deployed. */
  readonly release: string;
  /** `sha256:…` of the image that it runs, known when it is deployed. */
  readonly imageDigest: string;

  /** @throws Error for what the platform would refuse, by the same rules */
  constructor(scope: Construct, id: string, props: ServiceProps) {
    super(scope, id);
    const { edge } = props;
    this.serviceName = props.serviceName ?? id.toLowerCase();
    this.clusterName = props.clusterName ?? edge.clusterName;
    this.checkName('serviceName', serviceName, this.serviceName);
    this.checkName('clusterName', clusterName, this.clusterName);
    const spec = this.checkedSpec(props);
    this.provider = props.provider ?? ServiceProvider.ofStack(this, edge);
    if (this.provider.edge !== edge) {
      throw refusedProp(
        this.node.path,
        `the provider ${this.provider.node.path} is for another edge than the service: give both the same`,
      );
    }
    this.resource = new CustomResource(this, 'Resource', {
      serviceToken: this.provider.provider.serviceToken,
      resourceType: 'Custom::WharfService',
      properties: {
        Cluster: this.clusterName,
        ServiceName: this.serviceName,
        // One text: CloudFormation would make texts of its numbers.
        Spec: Stack.of(this).toJsonString(spec),
      },
    });
    // It goes while there is still somebody to ask.
    this.resource.node.addDependency(...edge.answering);
    this.release = this.resource.getAttString('Release');
    this.imageDigest = this.resource.getAttString('Digest');
  }

  private checkName(prop: string, form: typeof serviceName, name: string): void {
    if (Token.isUnresolved(name)) return;
    const { error } = form.safeParse(name);
    if (error === undefined) return;
    throw refusedProp(this.node.path, `${prop} ${JSON.stringify(name)} ${error.issues[0]?.message}`);
  }

  private checkedSpec(props: ServiceProps): object {
    const { image, edge, count = 1, memoryMiB } = props;
    const spec = {
      image: image.bind(this, edge).reference,
      count,
      ...Object.fromEntries(SAME.filter((name) => props[name] !== undefined).map((name) => [name, props[name]])),
      ...(memoryMiB === undefined ? {} : { memory: memoryMiB }),
    };
    checkKnown(this.node.path, this.numbersIn(spec, []));
    const { error } = ServiceSpec.safeParse(spec);
    const issues = error?.issues.filter(({ path }) => !Token.isUnresolved(valueAt(spec, path))) ?? [];
    if (issues.length > 0) {
      const problems = issues.map(({ path, message }) => `${this.propOf(path)}: ${message}`);
      throw refusedProp(this.node.path, problems.join('; '));
    }
    this.checkPorts(props.ports ?? []);
    return spec;
  }

  /** What is a number, by its path: in a text of JSON a token of a number is lost. */
  private numbersIn(value: unknown, path: readonly PropertyKey[]): Record<string, number> {
    if (typeof value === 'number') return { [this.propOf(path)]: value };
    if (typeof value !== 'object' || value === null) return {};
    const parts = Object.entries(value).map(([name, each]) => this.numbersIn(each, [...path, name]));
    return Object.assign({}, ...parts) as Record<string, number>;
  }

  /** As the reader wrote it. */
  private propOf(path: readonly PropertyKey[]): string {
    return path.map((part) => (part === 'memory' ? 'memoryMiB' : String(part))).join('.');
  }

  private checkPorts(ports: readonly ServicePort[]): void {
    const names = ports.map(({ container, protocol = 'tcp' }) => `${container}/${protocol}`);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice === undefined) return;
    throw refusedProp(this.node.path, `ports: container port ${twice} is named twice: each of them once is wanted`);
  }
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((inner, part) => (inner as Record<PropertyKey, unknown> | undefined)?.[part], value);
}
