/**
 * Synthesised templates as an account would have deployed them: every reference, attribute, join and import is
 * resolved to the name that the resource has among the fakes.
 */
import type { Resource } from '../../synth/synthesis.js';

export const REGION = 'eu-central-1';
export const ACCOUNT = '123456789012';

export interface Template {
  readonly Resources: Readonly<Record<string, Resource>>;
  readonly Outputs?: Readonly<
    Record<string, { readonly Value: unknown; readonly Export?: { readonly Name: unknown } }>
  >;
}

export interface Deployed {
  readonly stack: string;
  readonly id: string;
  readonly type: string;
  /** With every reference resolved. */
  readonly properties: Readonly<Record<string, unknown>>;
}

export class Templates {
  private readonly exports = new Map<string, () => unknown>();

  constructor(
    private readonly stacks: Readonly<Record<string, Template>>,
    private readonly queueEndpoint: string,
  ) {
    for (const [stack, { Outputs = {} }] of Object.entries(stacks)) {
      for (const { Value, Export } of Object.values(Outputs)) {
        if (Export !== undefined) this.exports.set(String(Export.Name), () => this.resolve(stack, Value));
      }
    }
  }

  ofType(type: string): readonly Deployed[] {
    return Object.entries(this.stacks).flatMap(([stack, { Resources }]) =>
      Object.entries(Resources)
        .filter(([, resource]) => resource.Type === type)
        .map(([id, { Properties }]) => ({ stack, id, type, properties: this.object(stack, Properties) })),
    );
  }

  private object(stack: string, value: object): Readonly<Record<string, unknown>> {
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, this.resolve(stack, member)]));
  }

  private resolve(stack: string, value: unknown): unknown {
    if (Array.isArray(value)) return value.map((each) => this.resolve(stack, each));
    if (typeof value !== 'object' || value === null) return value;
    const [[key, argument] = ['', undefined], ...others] = Object.entries(value) as [string, unknown][];
    if (others.length > 0) return this.object(stack, value);
    switch (key) {
      case 'Ref':
        return this.reference(stack, String(argument));
      case 'Fn::GetAtt': {
        const [id, attribute] = argument as [string, string];
        return this.attribute(stack, id, attribute);
      }
      case 'Fn::Join': {
        const [separator, parts] = argument as [string, unknown[]];
        return parts.map((part) => String(this.resolve(stack, part))).join(separator);
      }
      case 'Fn::Sub':
        return String(argument).replaceAll(/\$\{([^}]+)\}/g, (_, name: string) => this.reference(stack, name));
      case 'Fn::ImportValue':
        return this.exports.get(String(this.resolve(stack, argument)))?.();
      default:
        return this.object(stack, value);
    }
  }

  private reference(stack: string, id: string): string {
    const pseudo: Readonly<Record<string, string>> = {
      'AWS::Region': REGION,
      'AWS::AccountId': ACCOUNT,
      'AWS::Partition': 'aws',
      'AWS::URLSuffix': 'amazonaws.com',
      'AWS::StackName': stack,
    };
    const resource = this.stacks[stack]?.Resources[id];
    switch (resource?.Type) {
      case undefined:
        return pseudo[id] ?? id;
      case 'AWS::SQS::Queue':
        return `${this.queueEndpoint}/000000000000/${id}`;
      case 'AWS::S3::Bucket':
        return id.toLowerCase();
      case 'AWS::SecretsManager::Secret':
        return `arn:aws:secretsmanager:${REGION}:${ACCOUNT}:secret:${id}`;
      case 'AWS::ECS::Cluster':
        return textOf(resource.Properties['ClusterName'], id);
      default:
        return id;
    }
  }

  private attribute(stack: string, id: string, attribute: string): string {
    const name = this.reference(stack, id);
    const arn = (service: string, rest: string): string => `arn:aws:${service}:${REGION}:${ACCOUNT}:${rest}`;
    if (attribute === 'QueueName') return id;
    if (attribute !== 'Arn') return `${name}.${attribute}`;
    switch (this.stacks[stack]?.Resources[id]?.Type ?? '') {
      case 'AWS::SQS::Queue':
        return arn('sqs', id);
      case 'AWS::S3::Bucket':
        return `arn:aws:s3:::${name}`;
      case 'AWS::IAM::Role':
        return `arn:aws:iam::${ACCOUNT}:role/${name}`;
      case 'AWS::ECS::Cluster':
        return arn('ecs', `cluster/${name}`);
      case 'AWS::SecretsManager::Secret':
        return name;
      case 'AWS::Lambda::Function':
        return arn('lambda', `function:${name}`);
      default:
        return arn('other', name);
    }
  }
}

function textOf(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value : otherwise;
}
