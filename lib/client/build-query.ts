/** Builds and contexts as the API takes them: what is asked of a build as a query, a context's files as a list. */
import { gzipSync } from 'node:zlib';
import type { Digest } from '../oci/index.js';
import type { CallOptions } from './transport.js';

export interface TarBuild {
  readonly tags: readonly string[];
  readonly dockerfile?: string;
  readonly target?: string;
  readonly args?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly platforms?: readonly string[];
  readonly noCache?: boolean;
  readonly noCacheFilter?: readonly string[];
  /** `zstd:3` */
  readonly compression?: string;
  /** `index:name=value` */
  readonly annotations?: readonly string[];
  /** `type=provenance,mode=max` */
  readonly attest?: readonly string[];
  /** Instead of building. */
  readonly instead?: 'check' | 'plan' | 'outline' | 'targets';
}

/** The answer to a list of files: where it is kept, or what is missing. */
export type ContextAnswer =
  | { readonly digest: Digest; readonly sizeBytes: number }
  | {
      readonly upload: string;
      readonly missing: readonly number[];
      readonly missingBytes: number;
      readonly pieceBytes?: number;
    };

export function buildQuery(build: TarBuild): NonNullable<CallOptions['query']> {
  return {
    tag: build.tags,
    dockerfile: build.dockerfile,
    target: build.target,
    arg: pairs(build.args),
    label: pairs(build.labels),
    platform: build.platforms,
    'no-cache': build.noCache,
    'no-cache-filter': build.noCacheFilter,
    compression: build.compression,
    annotation: build.annotations,
    attest: build.attest,
    ...(build.instead === undefined ? {} : { [build.instead]: true }),
  };
}

/** A long list goes compressed: half of it is names. */
export function contextList(list: Uint8Array): CallOptions {
  const contentType = 'application/vnd.wharf.context.v1+jsonl';
  if (list.length < COMPRESS_BYTES) return { body: once(list), contentType };
  return { body: once(gzipSync(list, { level: 1 })), contentType, headers: { 'content-encoding': 'gzip' } };
}

const COMPRESS_BYTES = 256 * 1024;

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

function pairs(values: Readonly<Record<string, string>> | undefined): readonly string[] | undefined {
  return values === undefined ? undefined : Object.entries(values).map(([name, value]) => `${name}=${value}`);
}
