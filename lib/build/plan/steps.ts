/**
 * The steps of a build: what makes a layer. Everything about a step is decided while planning (arguments expanded,
 * paths absolute, sources named), so that its cache key can be computed before any layer is read or made.
 * Instructions that only change the image config make no step.
 */
import type { Descriptor, Digest, Platform } from '../../oci/index.js';
import type { Place } from '../build-errors.js';
import type { RunSettings } from '../run-settings.js';

/**
 * Where files come from: the build context, an earlier stage, an image that no stage starts from, or a place on the
 * network that ADD fetches.
 */
export type SourceRef =
  /** The main context, or another one of the request. */
  | { readonly from: 'context'; readonly context?: Digest }
  | { readonly from: 'stage'; readonly stage: number }
  | { readonly from: 'image'; readonly image: BaseImage }
  | { readonly from: 'remote'; readonly remote: RemoteRef };

/** What ADD fetches: one file, or the files of a commit. */
export type RemoteRef =
  | {
      readonly kind: 'http';
      readonly url: string;
      /** The last name of the URL's path. */
      readonly name: string;
      /** `--checksum`. */
      readonly checksum?: Digest;
    }
  | {
      readonly kind: 'git';
      /** Without fragment and query. */
      readonly url: string;
      /** Branch, tag, `refs/…` or commit; empty for the default branch. */
      readonly ref: string;
      /** Inside the repository, without slashes around it; empty for all of it. */
      readonly subfolder: string;
      readonly keepGitFolder: boolean;
      /** A commit must begin so: `--checksum`. */
      readonly checksum?: string;
      /** Whether a repository with submodules may be taken without them. */
      readonly skipSubmodules: boolean;
      /** Of files that are no programs; 0644 when absent. */
      readonly fileMode?: 0o666;
    };

/** An image that was looked up: enough to build on it without reading a layer. */
export interface BaseImage {
  /** As a person would write it, with the digest: `busybox:1@sha256:…`. */
  readonly name: string;
  readonly digest: Digest;
  readonly platform: Platform;
  readonly layers: readonly Layer[];
  /** The config document as stored. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** A layer of an image or of a finished step. */
export interface Layer {
  readonly diffId: Digest;
  readonly descriptor: Descriptor;
  /** Where it comes from while our store does not have it. */
  readonly origin?: LayerOrigin;
}

export type LayerOrigin = RegistryOrigin | { readonly layout: Digest };

export interface RegistryOrigin {
  readonly registry: string;
  readonly repository: string;
}

export interface WorkdirOp {
  readonly kind: 'workdir';
  /** Absolute. */
  readonly path: string;
  /** As in USER: who owns folders that are made. Empty is root. */
  readonly user: string;
}

/** One source of COPY or ADD. */
export interface CopySource {
  readonly source: SourceRef;
  /** Absolute path or pattern inside the source; a trailing slash is kept. */
  readonly path: string;
  /** The path is a name as it stands: `*` in it is no pattern. */
  readonly literal?: true;
  /** `--parents`: what is copied of `path`, as a pattern below it; folders on the way come along. */
  readonly below?: string;
  /** A tar archive is unpacked, as ADD does with files of the context. */
  readonly unpack: boolean;
  /** `ADD --checksum` of a file: its content must be this. */
  readonly checksum?: Digest;
}

export interface CopyOp {
  readonly kind: 'copy';
  readonly sources: readonly CopySource[];
  /** Heredoc sources. */
  readonly inline: readonly { readonly name: string; readonly content: string }[];
  /** Absolute; a trailing slash is kept. */
  readonly destination: string;
  /** `--chown`, expanded; names are looked up in the target. */
  readonly owner?: string;
  /** `--chmod`, octal or symbolic. */
  readonly mode?: string;
  readonly exclude: readonly string[];
  /** `--link`: the layer is made on an empty root, so that it stays the same whatever is below it. */
  readonly link: boolean;
}

export type RunNetwork = 'default' | 'none' | 'host';
/** `insecure` runs with all rights of the host's root, where the host allows it. */
export type RunSecurity = 'sandbox' | 'insecure';

/** A folder that outlives the build, by id. */
export interface CacheMount {
  readonly type: 'cache';
  readonly target: string;
  readonly id: string;
  readonly sharing: 'shared' | 'private' | 'locked';
  readonly readonly: boolean;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export type RunMount =
  | { readonly type: 'tmpfs'; readonly target: string; readonly sizeBytes?: number }
  | (CacheMount & {
      /** What an empty cache starts with. */
      readonly base?: { readonly source: SourceRef; readonly path: string };
      /** The folder in the cache that is mounted, without slashes around it; all of it when absent. */
      readonly subfolder?: string;
    })
  | {
      /** A value that comes with the request; never part of a key, a layer, a record or a log. */
      readonly type: 'secret';
      readonly id: string;
      /** Absent when only a variable is set. */
      readonly target?: string;
      readonly env?: string;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  | {
      /** The socket of an agent whose keys come with the request. */
      readonly type: 'ssh';
      readonly id: string;
      readonly target: string;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  | {
      readonly type: 'bind';
      readonly target: string;
      readonly source: SourceRef;
      /** Absolute path inside the source. */
      readonly path: string;
      readonly readonly: boolean;
    };

export interface RunOp {
  readonly kind: 'run';
  /** Shell already in front. */
  readonly args: readonly string[];
  /** `NAME=value`, in the order they were set. */
  readonly env: readonly string[];
  /** Predefined proxy variables: given to the process, kept out of keys and history. */
  readonly hiddenEnv: readonly string[];
  readonly user: string;
  readonly cwd: string;
  readonly network: RunNetwork;
  readonly security: RunSecurity;
  /** The sandbox's own when absent. */
  readonly hostname?: string;
  readonly mounts: readonly RunMount[];
  /** Of the request; limits are no part of a key. */
  readonly settings?: Omit<RunSettings, 'network'>;
  /** A heredoc that starts with `#!`, mounted at `/dev/pipes/<name>`. */
  readonly script?: { readonly name: string; readonly content: string };
}

export type StepOp = WorkdirOp | CopyOp | RunOp;

export interface Step {
  /** From 1, in the order of the plan. */
  readonly number: number;
  readonly stage: number;
  /** `[build 2/5]` */
  readonly name: string;
  /** The instruction on one line, variables as written. */
  readonly instruction: string;
  readonly place: Place;
  readonly op: StepOp;
  readonly platform: Platform;
  /** Seconds since the epoch when SOURCE_DATE_EPOCH is given. */
  readonly epochSeconds?: number;
}

/** What a stage stands on. */
export type StageBase =
  | { readonly kind: 'scratch' }
  | { readonly kind: 'image'; readonly image: BaseImage }
  | { readonly kind: 'stage'; readonly stage: number };
