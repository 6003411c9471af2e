/** ImageConfig: what a container of the image starts with, and the history of its layers (OCI image-spec, config.md). */
import { AppError } from '../errors/index.js';
import { asObject } from './descriptor.js';
import { type Digest, isDigest } from './digest.js';

/** Docker's HEALTHCHECK, kept in the config under the name docker uses. Times in nanoseconds. */
export interface Healthcheck {
  readonly Test: readonly string[];
  readonly Interval?: number;
  readonly Timeout?: number;
  readonly StartPeriod?: number;
  readonly StartInterval?: number;
  readonly Retries?: number;
}

/** The field names are the specification's. */
export interface ContainerConfig {
  readonly User?: string;
  readonly ExposedPorts?: Readonly<Record<string, Record<string, never>>>;
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Volumes?: Readonly<Record<string, Record<string, never>>>;
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly StopSignal?: string;
  readonly Healthcheck?: Healthcheck;
  readonly Shell?: readonly string[];
  readonly ArgsEscaped?: boolean;
  readonly OnBuild?: readonly string[];
}

export interface HistoryEntry {
  readonly created?: string;
  readonly created_by?: string;
  readonly author?: string;
  readonly comment?: string;
  readonly empty_layer?: boolean;
}

export interface ImageConfig {
  readonly created?: string;
  readonly author?: string;
  readonly architecture: string;
  readonly os: string;
  readonly variant?: string;
  readonly config?: ContainerConfig;
  readonly rootfs: { readonly type: 'layers'; readonly diff_ids: readonly Digest[] };
  readonly history?: readonly HistoryEntry[];
}

/** @throws AppError IMAGE_CONFIG_INVALID, naming the field */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  const refuse = (field: string): AppError =>
    new AppError('IMAGE_CONFIG_INVALID', `image config: ${field}`, { details: { pointer: field } });
  let object: Record<string, unknown>;
  try {
    object = asObject(JSON.parse(new TextDecoder().decode(bytes)), '');
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : 'not JSON');
  }
  if (typeof object['architecture'] !== 'string') throw refuse('/architecture is not a string');
  if (typeof object['os'] !== 'string') throw refuse('/os is not a string');
  const rootfs = asObject(object['rootfs'], '/rootfs');
  const diffIds = rootfs['diff_ids'] ?? [];
  if (!Array.isArray(diffIds) || !diffIds.every((id) => typeof id === 'string' && isDigest(id))) {
    throw refuse('/rootfs/diff_ids is not a list of digests');
  }
  return { ...object, rootfs: { type: 'layers', diff_ids: diffIds } } as unknown as ImageConfig;
}
