/**
 * The ARNs of ECS, long format only. Clients may name a thing by its ARN or by its short name; `shortName` brings both
 * to the short one, and refuses an ARN of another kind or another cluster.
 */
import { invalidParameter } from './ecs-error.js';

export type ResourceKind =
  | 'cluster'
  | 'container-instance'
  | 'task'
  | 'task-definition'
  | 'service'
  | 'capacity-provider'
  | 'container'
  | 'service-deployment'
  | 'service-revision';

export interface ParsedArn {
  readonly kind: ResourceKind;
  /** What follows `<kind>/`, split at `/`. */
  readonly path: readonly string[];
}

/** Makes ARNs of one account and region. */
export class Arns {
  readonly #prefix: string;

  constructor(region: string, accountId: string) {
    this.#prefix = `arn:aws:ecs:${region}:${accountId}:`;
  }

  cluster(name: string): string {
    return `${this.#prefix}cluster/${name}`;
  }
  instance(cluster: string, id: string): string {
    return `${this.#prefix}container-instance/${cluster}/${id}`;
  }
  task(cluster: string, id: string): string {
    return `${this.#prefix}task/${cluster}/${id}`;
  }
  container(cluster: string, taskId: string, id: string): string {
    return `${this.#prefix}container/${cluster}/${taskId}/${id}`;
  }
  taskDefinition(family: string, revision: number): string {
    return `${this.#prefix}task-definition/${family}:${revision}`;
  }
  service(cluster: string, name: string): string {
    return `${this.#prefix}service/${cluster}/${name}`;
  }
  capacityProvider(name: string): string {
    return `${this.#prefix}capacity-provider/${name}`;
  }
  serviceDeployment(cluster: string, service: string, id: string): string {
    return `${this.#prefix}service-deployment/${cluster}/${service}/${id}`;
  }
  serviceRevision(cluster: string, service: string, id: string): string {
    return `${this.#prefix}service-revision/${cluster}/${service}/${id}`;
  }
}

/** What may name something at all; whether it names anything is for others to say. */
const SHORT_NAME = /^[^\p{Control}\p{Surrogate}\u{10FFFF}]{1,255}$/u;

const ARN = /^arn:[a-z0-9-]+:ecs:[a-z0-9-]*:\d*:([a-z-]+)\/(.+)$/;

/** Undefined when the text is no ECS ARN. */
export function parseArn(text: string): ParsedArn | undefined {
  const match = ARN.exec(text);
  if (match === null) return undefined;
  return { kind: (match[1] ?? '') as ResourceKind, path: (match[2] ?? '').split('/') };
}

/**
 * The last part of an ARN, or the text itself when it is a short name already.
 * @param cluster when given, an ARN that names another cluster is refused
 * @throws InvalidParameterException also for an empty name, which no record has
 */
export function shortName(kind: ResourceKind, text: string, cluster?: string): string {
  if (!text.startsWith('arn:')) return checked(kind, text);
  const arn = parseArn(text);
  if (arn?.kind !== kind) throw invalidParameter(`Invalid identifier: "${text}" is not the ARN of a ${kind}.`);
  if (cluster !== undefined && arn.path.length > 1 && arn.path[0] !== cluster) {
    throw invalidParameter(`Identifier is for ${arn.path[0] ?? ''}. Your cluster is ${cluster}`);
  }
  return checked(kind, arn.path.at(-1) ?? '');
}

function checked(kind: ResourceKind, name: string): string {
  if (SHORT_NAME.test(name)) return name;
  throw invalidParameter(`Invalid identifier for a ${kind}: 1 to 255 characters are wanted, got ${name.length}.`);
}
