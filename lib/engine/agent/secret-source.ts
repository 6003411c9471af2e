/**
 * Secrets of task definitions: what `valueFrom` names, and the port that knows values. The agent asks when it makes a
 * container; a value goes into that container's environment and nowhere else.
 */
import { ContainerFailure } from './container-failure.js';
import type { ContainerPayload } from './types.js';

/** A secret of Secrets Manager, or a parameter of Systems Manager. */
export interface SecretName {
  readonly service: 'secretsmanager' | 'ssm';
  /** Without ARN. A Secrets Manager ARN ends in six random characters, which are part of the name here. */
  readonly name: string;
}

/** Knows the current values. Errors it throws must not hold one. */
export interface SecretSource {
  /** Undefined when there is no such secret. */
  find(secret: SecretName): Promise<string | undefined>;
}

export interface SecretReference extends SecretName {
  /** Only this member of a JSON object. */
  readonly jsonKey?: string;
}

const MANAGER = /^arn:[\w-]+:secretsmanager:[\w-]*:\d*:secret:([^:]+)(?::([^:]*)(?::([^:]*)(?::([^:]*))?)?)?$/;
const PARAMETER = /^arn:[\w-]+:ssm:[\w-]*:\d*:parameter(\/.+|\/?[\w.-]+)$/;

/** Undefined for what names neither; `stage` other than AWSCURRENT and version ids are not known here. */
export function parseSecretReference(valueFrom: string): SecretReference | { readonly problem: string } {
  const manager = MANAGER.exec(valueFrom);
  if (manager?.[1] !== undefined) {
    const [, name, jsonKey = '', stage = '', version = ''] = manager;
    if (version !== '' || (stage !== '' && stage !== 'AWSCURRENT')) {
      return { problem: `${valueFrom}: only the current version of a secret is known here; leave stage and id out` };
    }
    return { service: 'secretsmanager', name, ...(jsonKey === '' ? {} : { jsonKey }) };
  }
  const parameter = PARAMETER.exec(valueFrom)?.[1];
  // An ARN has one slash where a plain name has none.
  if (parameter !== undefined) {
    const isPath = parameter.lastIndexOf('/') > 0;
    return { service: 'ssm', name: isPath ? parameter : parameter.replace(/^\//, '') };
  }
  if (/^[\w./-]+$/.test(valueFrom)) return { service: 'ssm', name: valueFrom };
  return { problem: `${JSON.stringify(valueFrom)} is neither a Secrets Manager ARN nor a Systems Manager parameter` };
}

/**
 * `NAME=value` for each secret of the container.
 * @throws ContainerFailure ResourceInitializationError, without any value
 */
export async function secretEnvironment(
  source: SecretSource | undefined,
  container: ContainerPayload,
): Promise<readonly string[]> {
  const environment: string[] = [];
  for (const { name, valueFrom } of container.secrets ?? []) {
    if (source === undefined) throw failure(`this agent has no source of secrets for ${name}`);
    environment.push(`${name}=${await valueOf(source, valueFrom)}`);
  }
  return environment;
}

async function valueOf(source: SecretSource, valueFrom: string): Promise<string> {
  const reference = parseSecretReference(valueFrom);
  if ('problem' in reference) throw failure(reference.problem);
  const { service, name, jsonKey } = reference;
  const value = await source.find({ service, name }).catch((error: unknown) => {
    throw failure(`${valueFrom}: ${error instanceof Error ? error.name : 'failed'} while it was read`);
  });
  if (value === undefined) {
    const kind = service === 'ssm' && valueFrom.startsWith('arn:') ? 'parameter' : 'secret';
    throw failure(`${valueFrom}: there is no such ${kind}; wharf secret set ${name} keeps one`);
  }
  if (jsonKey === undefined) return value;
  const member = jsonMember(value, jsonKey);
  if (member === undefined) throw failure(`${valueFrom}: the secret is no JSON object with the key ${jsonKey}`);
  return member;
}

function jsonMember(text: string, key: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    const member: unknown = Object.entries(value).find(([name]) => name === key)?.[1];
    if (member === undefined || member === null) return undefined;
    return typeof member === 'string' ? member : JSON.stringify(member);
  } catch {
    return undefined;
  }
}

function failure(message: string): ContainerFailure {
  return new ContainerFailure('ResourceInitializationError', `unable to pull secrets: ${message}`);
}
