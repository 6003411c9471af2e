/** What planning a stage takes and gives. */
import type { ImageDraft } from './image-draft.js';
import type { Place } from '../build-errors.js';
import type { Platform } from '../../oci/index.js';
import type { Entitlement, RunSettings } from '../run-settings.js';
import type { BuildkitSettings } from './buildkit-args.js';
import type { StageLint } from './plan-lint.js';
import type { RemoteRef, RunMount, SourceRef, StepOp } from './steps.js';

/** What a stage hands to one that is built `FROM` it. */
export interface StageState {
  readonly image: ImageDraft;
  /** Environment of RUN: ENV and the ARGs that have a value. */
  readonly env: ReadonlyMap<string, string>;
  /** Declared build arguments, in order, with the value they had. */
  readonly buildArgs: ReadonlyMap<string, string | undefined>;
  /** Whether a WORKDIR came before. */
  readonly workdirSet?: boolean;
}

export interface PlannedStep {
  readonly instruction: string;
  readonly place: Place;
  readonly op: StepOp;
  readonly onbuild: boolean;
}

export interface StagePlanning {
  readonly escape: '\\' | '`';
  readonly args: Readonly<Record<string, string>>;
  readonly globalArgs: ReadonlyMap<string, string>;
  readonly hiddenEnv: readonly string[];
  readonly platform: Platform;
  readonly settings: Pick<BuildkitSettings, 'cacheNamespace' | 'hostname'>;
  /** Of the request, for every RUN. */
  readonly run: RunSettings;
  readonly allowed: ReadonlySet<Entitlement>;
  /** @param trusted false for a trigger that came with an image: it may not name stages of this file */
  readonly source: (from: string, trusted: boolean) => Promise<SourceRef>;
  readonly remote: (remote: RemoteRef) => RemoteRef;
  readonly mount: (value: string, context: MountContext) => Promise<RunMount>;
  readonly lint: StageLint;
}

export interface MountContext extends Pick<BuildkitSettings, 'cacheNamespace'> {
  /** How many ssh mounts the instruction had before. */
  readonly sshMounts: number;
  readonly workdir: string;
  readonly expand: (word: string) => string;
  readonly source: (from: string) => Promise<SourceRef>;
}

export interface DispatchOptions {
  /** Run as an ONBUILD trigger. */
  readonly onbuild?: boolean;
  readonly trusted?: boolean;
}
