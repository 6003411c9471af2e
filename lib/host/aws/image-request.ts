/** What CloudFormation says about an image that a template wants, checked; and the name that follows from it. */
import { createHash } from 'node:crypto';
import { AppError } from '../../errors/index.js';
import type { BuildRequest } from '../../build/index.js';

/** As the provider framework hands them over. */
export interface ImageEvent {
  readonly RequestType: 'Create' | 'Update' | 'Delete';
  readonly RequestId: string;
  /** Absent at Create, until `onEvent` has answered. */
  readonly PhysicalResourceId?: string;
  readonly ResourceProperties: Readonly<Record<string, unknown>>;
  /** What `onEvent` answered; absent until it has. Empty when there was nothing to build. */
  readonly BuildId?: string;
}

export interface WantedImage {
  /** Of the context tar among the assets. */
  readonly bucket: string;
  readonly key: string;
  /** Name of the ECR repository. */
  readonly repository: string;
  /** What Wharf keeps the image as, until it is copied and for as long as the template wants it. */
  readonly source: { readonly repository: string; readonly tag: string };
  readonly build: Omit<BuildRequest, 'context' | 'tags'>;
  /** ARNs of what `RUN --mount=type=secret` reads, by id. No inputs: another value gives no other image, as with docker. */
  readonly secrets: Readonly<Record<string, string>>;
  /** The same for the same inputs: CloudFormation replaces the resource when it changes. */
  readonly physicalId: string;
}

const HASH_CHARACTERS = 40;

/** @throws AppError IMAGE_RESOURCE_INVALID with the property's name */
export function wantedImage(properties: ImageEvent['ResourceProperties']): WantedImage {
  const key = required(properties, 'ContextKey');
  const repository = required(properties, 'Repository');
  const build = {
    dockerfile: required(properties, 'Dockerfile'),
    platform: required(properties, 'Platform'),
    ...(properties['Target'] === undefined ? {} : { target: required(properties, 'Target') }),
    ...(properties['Arguments'] === undefined ? {} : { args: strings(properties, 'Arguments') }),
  };
  // The asset's name is the hash of its content; where it lies does not matter.
  const inputs = JSON.stringify([
    key.slice(key.lastIndexOf('/') + 1),
    build.dockerfile,
    build.platform,
    build.target ?? '',
    Object.entries(build.args ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)),
  ]);
  const hash = createHash('sha256').update(inputs).digest('hex').slice(0, HASH_CHARACTERS);
  return {
    bucket: required(properties, 'ContextBucket'),
    key,
    repository,
    source: { repository: `cdk/${repository}`, tag: hash },
    build,
    secrets: properties['Secrets'] === undefined ? {} : strings(properties, 'Secrets'),
    physicalId: `${repository}:${hash}`,
  };
}

/** What a physical id stands for; undefined when it is none of ours. */
export function imageOfPhysicalId(id: string): Pick<WantedImage, 'repository' | 'source'> | undefined {
  const [, repository, tag] = /^([a-z0-9][a-z0-9._/-]*):([0-9a-f]{40})$/.exec(id) ?? [];
  if (repository === undefined || tag === undefined) return undefined;
  return { repository, source: { repository: `cdk/${repository}`, tag } };
}

function required(properties: ImageEvent['ResourceProperties'], name: string): string {
  const value = properties[name];
  if (typeof value === 'string' && value !== '') return value;
  throw invalid(name, 'a text');
}

function strings(properties: ImageEvent['ResourceProperties'], name: string): Record<string, string> {
  const value = properties[name];
  if (typeof value === 'object' && value !== null && Object.values(value).every((one) => typeof one === 'string')) {
    return value as Record<string, string>;
  }
  throw invalid(name, 'an object of texts');
}

function invalid(name: string, wanted: string): AppError {
  return new AppError('IMAGE_RESOURCE_INVALID', `property ${name} of the image is not ${wanted}`, {
    hint: 'the construct DockerfileImage sets it',
  });
}
