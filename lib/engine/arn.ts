/**
 * The ARNs of ECS, long format only. Clients may name a thing by its ARN or by its short name; `shortName` brings both
 * to the short one, and refuses an ARN of another kind, cluster, region or account. `parseArn` is for ARNs of our own.
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
  readonly region: string;
  readonly accountId: string;
  readonly kind: ResourceKind;
  /** What follows `<kind>/`, split at `/`. */
  readonly path: readonly string[];
}

/** Makes ARNs of one account and region. */
export class Arns {
  readonly #prefix: string;

  constructor(
    private readonly region: string,
    private readonly accountId: string,
  ) {
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

  /** Undefined when the text is no ECS ARN. @throws InvalidParameterException for one of elsewhere */
  parse(text: string): ParsedArn | undefined {
    const arn = parseArn(text);
    if (arn === undefined) return undefined;
    if (arn.region !== this.region) {
      throw invalidParameter(`Invalid Region in ARN: "${arn.region}" of ${text}; this is ${this.region}.`);
    }
    if (arn.accountId !== this.accountId) {
      throw invalidParameter(`Invalid account in ARN: "${arn.accountId}" of ${text}; this is ${this.accountId}.`);
    }
    return arn;
  }

  /**
   * The last part of an ARN, or the text itself when it is a short name already.
   * @param cluster when given, an ARN that names another cluster is refused
   * @throws InvalidParameterException also for an empty name, which no record has
   */
  shortName(kind: ResourceKind, text: string, cluster?: string): string {
    if (!text.startsWith('arn:')) return checked(kind, text);
    const arn = this.parse(text);
    if (arn?.kind !== kind) throw invalidParameter(`Invalid identifier: "${text}" is not the ARN of a ${kind}.`);
    const owner = arn.path.length > 1 ? arn.path[0] : undefined;
    if (cluster !== undefined && owner !== undefined && owner !== cluster) {
      throw invalidParameter(`Invalid identifier: Identifier is for cluster ${owner}. Your cluster is ${cluster}`);
    }
    return checked(kind, arn.path.at(-1) ?? '');
  }
}

/** What may name something at all; whether it names anything is for others to say. */
const SHORT_NAME = /^[^\p{Control}\p{Surrogate}\u{10FFFF}]{1,255}$/u;

const ARN = /^arn:[a-z0-9-]+:ecs:([a-z0-9-]*):(\d*):([a-z-]+)\/(.+)$/;

/** Undefined when the text is no ECS ARN. */
export function parseArn(text: string): ParsedArn | undefined {
  const match = ARN.exec(text);
  if (match === null) return undefined;
  const [, region = '', accountId = '', kind = '', path = ''] = match;
  return { region, accountId, kind: kind as ResourceKind, path: path.split('/') };
}

/** The id or name at the end of an ARN of our own; a short name is one already. */
export function ownName(text: string): string {
  return parseArn(text)?.path.at(-1) ?? text;
}

const WANTED_LENGTHS: Partial<Record<ResourceKind, string>> = { task: 'taskId', 'container-instance': 'instanceId' };

function checked(kind: ResourceKind, name: string): string {
  const id = WANTED_LENGTHS[kind];
  // As Amazon ECS says it, whose older ids have 36 characters.
  if (id !== undefined && name.length !== 32 && name.length !== 36) {
    throw invalidParameter(`${id} length should be one of [32,36]`);
  }
  if (SHORT_NAME.test(name)) return name;
  throw invalidParameter(`Invalid identifier for a ${kind}: 1 to 255 characters are wanted, got ${name.length}.`);
}
