/** What a command is given: the world as values, so that a test can give another one. */
import type { SourcePolicy } from '../build/index.js';
import type { HttpCall, WharfClient } from '../client/index.js';
import type { Clock } from '../store/index.js';
import type { PlatformAddress } from './connection.js';
import type { Output } from './output.js';

export interface EmbeddedOptions {
  readonly data: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly token?: string;
  readonly runtime?: RuntimeName;
  readonly ociRuntime?: OciRuntimeName;
  readonly webhook?: Webhook;
  readonly building?: BuildingRules;
}

/** What builds get and may do on the platform's machine. */
export interface BuildingRules {
  readonly allow?: readonly ('network.host' | 'security.insecure')[];
  /** Ranges of addresses that are not public, for ADD and contexts. */
  readonly fetchFrom?: readonly string[];
  /** For all builds. */
  readonly sourcePolicy?: SourcePolicy;
  readonly proxyNetwork?: boolean;
  /** Of each RUN. */
  readonly memoryBytes?: number;
  readonly cpus?: number;
  readonly timeoutMs?: number;
}

/** Where events of the engine are sent, and what they are signed with. */
export interface Webhook {
  readonly url: string;
  readonly secret: string;
}

/** What runs tasks; `simulated` runs nothing real. */
export type RuntimeName = 'containers' | 'simulated';

/** What makes the containers of tasks. */
export const OCI_RUNTIMES = ['runc', 'crun'] as const;
export type OciRuntimeName = (typeof OCI_RUNTIMES)[number];

export interface EngineStart {
  readonly data: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly runtime?: RuntimeName;
  readonly ociRuntime?: OciRuntimeName;
  readonly region?: string;
  readonly accountId?: string;
  readonly keys?: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly webhook?: Webhook;
}

/** The engine without the platform around it. */
export interface StartedEngine {
  readonly url: string;
  readonly region: string;
  readonly accountId: string;
  close(): Promise<void>;
}

export interface Embedded extends PlatformAddress {
  close(): Promise<void>;
}

/** What a platform that is stopped still has on this machine is taken away. */
export type TakeDown = (data: string) => Promise<{ readonly containers: number }>;

export type StartEmbedded = (options: EmbeddedOptions) => Promise<Embedded>;

/** The terminal the program was started in. */
export interface Terminal {
  size(): { readonly rows: number; readonly columns: number };
  /** Raw: every key goes to the other side, Ctrl-C too. */
  setRaw(raw: boolean): void;
  /** Returns the way to stop listening. */
  onResize(listener: () => void): () => void;
}

/** The shell around the program. */
export interface CliDeps {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly output: Output;
  readonly clock: Clock;
  /** Makes the requests to the platform; Node's client when absent. */
  readonly http?: HttpCall;
  readonly startEmbedded: StartEmbedded;
  readonly takeDown: TakeDown;
  readonly startEngine: (options: EngineStart) => Promise<StartedEngine>;
  /** Absent when standard input is no terminal. */
  readonly terminal?: Terminal;
  /** What `-` reads; the process's own when absent. */
  readonly stdin?: AsyncIterable<string | Uint8Array>;
  /** Fires at the first Ctrl-C or SIGTERM. */
  readonly interrupted: AbortSignal;
  readonly version: string;
}

/** A command's own share of it. */
export interface CommandDeps extends CliDeps {
  readonly client: WharfClient;
}
