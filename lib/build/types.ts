/**
 * Builds as the rest of the house sees them: a request, a record that tells the state, and an append-only event log
 * that can be followed and resumed from anywhere.
 */
import type { Descriptor, Digest } from '../oci/index.js';
import type { BuildReport } from './report.js';
import type { Entitlement, RunSettings } from './run-settings.js';

export interface BuildRequest {
  /** Digest of the context: a tar (plain or gzip) in the content store, or a list of files that was sent. */
  readonly context: Digest | RemoteContext;
  /** Path of the Dockerfile inside the context; `Dockerfile` when absent. */
  readonly dockerfile?: string;
  /** The Dockerfile itself, in the place of one of the context. At most 128 KiB. */
  readonly dockerfileText?: string;
  /** Names to give the image, `repository[:tag]` of Wharf's own registry. */
  readonly tags: readonly string[];
  readonly target?: string;
  readonly args?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** `os/architecture`; the host's own when absent. */
  readonly platform?: string;
  /** Several platforms: the result is an index. */
  readonly platforms?: readonly string[];
  /** What names in FROM and `--from` stand for, before stages and images of that name. */
  readonly contexts?: Readonly<Record<string, NamedContext>>;
  readonly noCache?: boolean;
  /** Stages, by name or number, whose steps are not looked up in the cache. */
  readonly noCacheFilter?: readonly string[];
  /** Of layers this build makes; gzip with level 6 when absent. */
  readonly compression?: BuildCompression;
  /** Of manifests, configs and layers. OCI's when absent, unless the version below says otherwise. */
  readonly mediaTypes?: 'oci' | 'docker';
  /** The bytes that BuildKit wrote in those days: 10 (0.13), 20 (0.15 to 0.31) or 30 (from then on), which is the default. */
  readonly compatibilityVersion?: 10 | 20 | 30;
  readonly annotations?: BuildAnnotations;
  /** What is stored beside the image about how it came to be; the result is an index then. */
  readonly attestations?: BuildAttestations;
  /** What every RUN gets. */
  readonly run?: RunSettings;
  /** Rights beyond the sandbox that RUN may use, where the host gives them; none when absent. */
  readonly allow?: readonly Entitlement[];
  /** Where steps are looked for that are not in our own cache, in this order. */
  readonly cacheFrom?: readonly CacheSource[];
  /** Where the steps of the build are put down for other builders. */
  readonly cacheTo?: readonly CacheTarget[];
  /** What sources are allowed, denied, or taken from elsewhere. */
  readonly sourcePolicy?: SourcePolicy;
  /** Instead of building: parse, plan and lint. */
  readonly check?: boolean;
  /** Instead of building: what is expected of the cache. */
  readonly plan?: boolean;
  /** Instead of building: what the target takes. */
  readonly outline?: boolean;
  /** Instead of building: the stages that may be targets. */
  readonly targets?: boolean;
}

/** An image, another stage of the Dockerfile, another context (its files), or an image in one that is an OCI layout. */
export type LocalContext =
  { readonly image: string } | { readonly stage: string } | { readonly context: Digest } | LayoutContext;

export interface LayoutContext {
  /** Digest of a context that is an OCI layout. */
  readonly layout: Digest;
  /** Tag or digest of one of its images; the only one, or `latest`, when absent. */
  readonly reference?: string;
}

/** Files to fetch when the build runs: a git repository (`https://….git#ref:folder`), or a tar by its address. */
export interface RemoteContext {
  readonly url: string;
}

export type NamedContext = LocalContext | RemoteContext;

export interface BuildCompression {
  /** `estargz` is gzip whose files can be pulled one by one. */
  readonly type: 'gzip' | 'estargz' | 'zstd' | 'none';
  /** 0 (stored) to 9 for gzip and estargz, 1 to 22 for zstd. */
  readonly level?: number;
  /** Layers of the base image too. */
  readonly force?: boolean;
}

/** A cache that some builder wrote: beside an image or in it, at a registry; or in a folder that was sent. */
export type CacheSource =
  { readonly type: 'registry'; readonly ref: string } | ({ readonly type: 'local' } & LayoutContext);

export interface CacheForm {
  /** `max`: every step the build knows; otherwise those whose layers are in the image. */
  readonly mode?: 'min' | 'max';
  /** A manifest; an index when false. True when absent, unless the media types are docker's. */
  readonly imageManifest?: boolean;
  /** True when absent. */
  readonly ociMediaTypes?: boolean;
  /** Not written is a warning and no failure. */
  readonly ignoreError?: boolean;
}

export type CacheTarget =
  | ({ readonly type: 'registry'; readonly ref: string } & CacheForm)
  /** Kept for whoever asks `GET /v1/builds/{id}/cache`. */
  | ({ readonly type: 'local' } & CacheForm)
  /** In the image's own config; what is not in the image is not in it. */
  | { readonly type: 'inline' };

/** What became of a target. */
export interface ExportedCache {
  readonly type: CacheTarget['type'];
  readonly ref?: string;
  /** Of its manifest or index; absent when nothing was written, or it is in the image. */
  readonly digest?: Digest;
  /** Steps in it. */
  readonly steps: number;
}

export interface BuildAnnotations {
  /** Of each platform's manifest. */
  readonly manifest?: Readonly<Record<string, string>>;
  /** Of the index, when there is one. */
  readonly index?: Readonly<Record<string, string>>;
  /** Of the index's entries. */
  readonly manifestDescriptor?: Readonly<Record<string, string>>;
  /** Of the entry for the index in an OCI layout: a registry has no such place, so only an export shows them. */
  readonly indexDescriptor?: Readonly<Record<string, string>>;
}

export interface BuildAttestations {
  readonly provenance?: BuildProvenance;
  readonly sbom?: BuildSbom;
  /** Whether the attestation manifest is an OCI artifact with the image as its subject, or looks like an image. */
  readonly ociArtifact?: boolean;
}

export interface BuildProvenance {
  /** `min` when absent; `max` holds build arguments, the Dockerfile and the steps as well. */
  readonly mode?: 'min' | 'max';
  /** SLSA's `builder.id`; empty when absent. */
  readonly builderId?: string;
  /** Says of the build that it gives the same again. */
  readonly reproducible?: boolean;
}

export interface BuildSbom {
  /** The image that scans; docker/buildkit-syft-scanner when absent. */
  readonly generator?: string;
  /** For the scanner, as `BUILDKIT_SCAN_<name>`. */
  readonly parameters?: Readonly<Record<string, string>>;
}

/** In BuildKit's JSON form (sourcepolicy/pb/policy.proto there). */
export interface SourcePolicy {
  readonly version?: 1;
  readonly rules: readonly PolicyRule[];
}

export interface PolicyRule {
  /** ALLOW when absent. */
  readonly action?: 'ALLOW' | 'DENY' | 'CONVERT';
  readonly selector: PolicySelector;
  /** Of CONVERT. */
  readonly updates?: { readonly identifier?: string; readonly attrs?: Readonly<Record<string, string>> };
}

export interface PolicySelector {
  /** `docker-image://docker.io/library/alpine:*`, `https://…`, `git://…`, `local://context`. */
  readonly identifier: string;
  /** WILDCARD when absent. */
  readonly match_type?: 'WILDCARD' | 'EXACT' | 'REGEX';
  readonly constraints?: readonly AttrConstraint[];
}

export interface AttrConstraint {
  readonly key: string;
  readonly value?: string;
  /** EQUAL when absent. */
  readonly condition?: 'EQUAL' | 'NOTEQUAL' | 'MATCHES';
}

export type BuildStatus = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled';

export interface BuildError {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  /** Where in the Dockerfile, when it is there. */
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface BuildStepSummary {
  /** `[build 2/5]`-style place of the step. */
  readonly name: string;
  readonly instruction: string;
  readonly cached: boolean;
  /** Why it was not in the cache, in one line: `src/a.ts changed`; absent when it was. */
  readonly reason?: string;
  readonly milliseconds: number;
  /** Compressed bytes of the layer it made; absent when it made none. */
  readonly layerBytes?: number;
  readonly layerDigest?: Digest;
  /** The cache of the request that had it; absent when our own did. */
  readonly importedFrom?: string;
}

export interface BuildResult {
  readonly digest: Digest;
  /** Digest of the image config: docker's image id. */
  readonly imageId: Digest;
  readonly tags: readonly string[];
  readonly layers: readonly Descriptor[];
  /** Of an index: the image of each platform. `digest` is the index then, imageId and layers are those of the first. */
  readonly platforms?: readonly PlatformResult[];
  readonly steps: readonly BuildStepSummary[];
  readonly stepsCached: number;
  /** SOURCE_DATE_EPOCH, wherever it came from. */
  readonly epochSeconds?: number;
  /** One for each `cacheTo`, in its order. */
  readonly caches?: readonly ExportedCache[];
}

export interface PlatformResult {
  readonly platform: string;
  readonly digest: Digest;
  readonly imageId: Digest;
  readonly layers: readonly Descriptor[];
  /** The manifest of its attestations. */
  readonly attestations?: Digest;
  /** What each is called where the image is written as a root folder; absent in builds of earlier versions. */
  readonly attestationFiles?: readonly string[];
}

export interface Build {
  readonly id: string;
  readonly status: BuildStatus;
  readonly request: BuildRequest;
  readonly createdMs: number;
  readonly startedMs?: number;
  readonly finishedMs?: number;
  readonly result?: BuildResult;
  /** Of a request that builds nothing: check, plan, outline or targets. */
  readonly report?: BuildReport;
  readonly error?: BuildError;
}

/** How a build ended. */
export type BuildOutcome = Pick<Build, 'status' | 'result' | 'report' | 'error'>;

export type BuildEvent =
  | {
      readonly type: 'step-started';
      /** From 1, in the order of the Dockerfile. */
      readonly step: number;
      readonly name: string;
      readonly instruction: string;
      /** Why it is not in the cache, in one line: `src/a.ts changed`. */
      readonly reason?: string;
    }
  | { readonly type: 'step-output'; readonly step: number; readonly stream: 'stdout' | 'stderr'; readonly text: string }
  | {
      readonly type: 'step-finished';
      readonly step: number;
      readonly cached: boolean;
      readonly milliseconds: number;
      readonly layerBytes?: number;
      readonly layerDigest?: Digest;
      readonly importedFrom?: string;
      readonly failed?: boolean;
    }
  | { readonly type: 'warning'; readonly message: string; readonly line?: number; readonly rule?: string }
  | { readonly type: 'message'; readonly text: string }
  /** Always the last event. */
  | {
      readonly type: 'finished';
      readonly status: BuildStatus;
      readonly result?: BuildResult;
      readonly report?: BuildReport;
      readonly error?: BuildError;
    };

/** An event with its place in the log, from 1. */
export interface LoggedBuildEvent {
  readonly sequence: number;
  readonly timeMs: number;
  readonly event: BuildEvent;
}

export interface SubmitOptions {
  readonly idempotencyKey?: string;
  /** Who asks, by principal id: contexts sent as lists of files are known to their senders only. */
  readonly owner?: string;
  /**
   * Values for `RUN --mount=type=secret` and the credentials of ADD, by id. Kept sealed, apart from the request, until
   * the build has ended.
   */
  readonly secrets?: ReadonlyMap<string, Uint8Array>;
  /** Private keys for `RUN --mount=type=ssh`, by id; kept as secrets are. */
  readonly ssh?: ReadonlyMap<string, readonly Uint8Array[]>;
}

/** The building service: any host may submit, one worker at a time runs a build. */
export interface Builds {
  /** Writes the record and queues the work. The same idempotency key gives the same build. */
  submit(request: BuildRequest, options?: SubmitOptions): Promise<Build>;
  get(id: string): Promise<Build | undefined>;
  /** Newest first. */
  list(options?: {
    readonly limit?: number;
    readonly cursor?: string;
  }): Promise<{ readonly builds: readonly Build[]; readonly cursor?: string }>;
  /** Asks a build to stop; undefined when there is none. A finished build stays as it is. */
  cancel(id: string): Promise<Build | undefined>;
  /** Events after `afterSequence`, then new ones as they come, until `finished` or the signal. */
  follow(id: string, afterSequence: number, signal?: AbortSignal): AsyncIterable<LoggedBuildEvent>;
}
