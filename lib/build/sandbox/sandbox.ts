/**
 * The port through which RUN leaves the process: lower layers and a command in, an exit code and the changes out.
 * Where it runs (overlayfs and runc on this machine, a task on a cluster) is the adapter's business.
 */
import type { Socket } from 'node:net';
import type { ImageTree, TarMember } from '../../layers/index.js';
import type { Platform } from '../../oci/index.js';
import type { CacheMount, Layer, RunNetwork, RunOp, RunSecurity } from '../plan/steps.js';

export type SandboxMount =
  | { readonly type: 'tmpfs'; readonly target: string; readonly sizeBytes?: number }
  | (CacheMount & {
      /** What an empty cache starts with: a folder of these layers. */
      readonly base?: { readonly layers: readonly Layer[]; readonly path: string };
      /** The folder in the cache that is mounted; all of it when absent. */
      readonly subfolder?: string;
    })
  /** A file that is only ever in memory. */
  | {
      readonly type: 'secret';
      readonly target: string;
      readonly content: Uint8Array;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  /** The socket of an ssh agent that holds these keys while the command runs. */
  | {
      readonly type: 'ssh';
      readonly target: string;
      readonly keys: readonly Uint8Array[];
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  /** A file or folder of other layers; what is written to it is thrown away. */
  | {
      readonly type: 'layers';
      readonly target: string;
      readonly layers: readonly Layer[];
      /** Inside the layers, links resolved, without leading slash; empty for the root. */
      readonly path: string;
      readonly readonly: boolean;
    }
  /** A small read-only file. */
  | { readonly type: 'file'; readonly target: string; readonly content: string; readonly mode: number };

/** What takes the connections of a command that has no other way out. */
export interface SandboxProxy {
  /** PEM: what the command is to trust while it runs. */
  readonly certificate: string;
  accept(socket: Socket): void;
}

export interface SandboxRequest {
  /** Names the run: letters, digits and `-`, unique on the host. */
  readonly id: string;
  /** From the bottom up. */
  readonly layers: readonly Layer[];
  /** The same layers, merged. */
  readonly lower: ImageTree;
  readonly process: {
    readonly args: readonly string[];
    /** `NAME=value`. */
    readonly env: readonly string[];
    /** As in USER; empty is root. */
    readonly user: string;
    /** Made when absent. */
    readonly cwd: string;
  };
  /** More of the environment, by name; like secret files it is never written to a disk. */
  readonly secretEnv?: ReadonlyMap<string, string>;
  readonly network: RunNetwork;
  /** In the place of the network. */
  readonly proxy?: SandboxProxy;
  readonly security?: RunSecurity;
  /** What the command sees as the machine's name. */
  readonly hostname?: string;
  /** Limits and names, within what the host gives. */
  readonly settings?: RunOp['settings'];
  readonly mounts: readonly SandboxMount[];
  /**
   * What the command writes while it runs gets this time, in seconds: the clock of the machine must not decide over
   * the digest of a layer. Times the command set itself, to before or after its run, are kept.
   */
  readonly timeSeconds: number;
  /** No time is later than this (SOURCE_DATE_EPOCH). */
  readonly clampSeconds?: number;
  /**
   * Whether the layer that `collect` makes holds the changes and nothing beside them: where they lie may then be kept as
   * that layer, for the next command that stands on it.
   */
  readonly keeps: boolean;
  readonly onOutput: (stream: 'stdout' | 'stderr', chunk: Buffer) => void;
  readonly signal: AbortSignal;
}

export type SandboxResult<T> =
  { readonly exitCode: 0; readonly value: T } | { readonly exitCode: number; readonly outOfMemory: boolean };

export interface Sandbox {
  /** Whether commands of a platform that is not the machine's own run all the same; none when absent. */
  emulates?(platform: Platform): Promise<boolean>;
  /** Makes ready what commands on these layers need: `run` does it too, but the caller may have other things to do meanwhile. */
  prepare?(layers: readonly Layer[]): Promise<void>;
  /**
   * Runs the command to its end. When it ends well, `collect` gets its changes as members in the order of layers,
   * and what it returns is handed on. Afterwards, however it ended, nothing of the run is left on the host but a layer that
   * it `keeps`.
   * @throws the signal's reason on abort; AppError CONTAINER_START_FAILED when the command cannot be started
   */
  run<T extends Pick<Layer, 'diffId'>>(
    request: SandboxRequest,
    collect: (changes: AsyncIterable<TarMember>) => Promise<T>,
  ): Promise<SandboxResult<T>>;
}
