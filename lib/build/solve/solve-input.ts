/** What a Solver gets and gives. */
import type { LayerIndexes } from '../../layers/index.js';
import type { Digest } from '../../oci/index.js';
import type { ContentStore } from '../../store/index.js';
import type { EmitEvent } from '../build-log.js';
import type { BuildSecretValues } from '../build-secrets.js';
import type { SingleFlight } from './concurrency.js';
import type { BuildContext } from '../context/context.js';
import type { LastSteps } from './last-steps.js';
import type { Plan } from '../plan/plan.js';
import type { RemoteFiles } from '../fetch/remote-files.js';
import type { SharedStep } from '../remote-cache/cache-config.js';
import type { CachedStep, StepCache } from './step-cache.js';
import type { StepExecutor } from '../steps/step-executor.js';
import type { Layer, RemoteRef, Step } from '../plan/steps.js';
import type { BuildCompression, BuildStepSummary } from '../types.js';

export interface SolverDeps {
  readonly content: ContentStore;
  readonly indexes: LayerIndexes;
  readonly cache: StepCache;
  readonly lastSteps: LastSteps;
  readonly executor: StepExecutor;
  readonly flights: SingleFlight<CachedStep>;
  readonly now: () => number;
  /** Brings layers of other registries into the store. */
  readonly fetchLayers: (layers: readonly Layer[], signal: AbortSignal) => Promise<void>;
}

export interface SolveInput {
  readonly plan: Plan;
  readonly context: BuildContext;
  /** Tenant of the cache. */
  readonly scope: string;
  /** Place of the Dockerfile in the cache's memory, for the reason of a miss. */
  readonly slot: string;
  /** Steps that are not looked up. */
  readonly uncached: (step: Step) => boolean;
  /** Steps this build made, by definition key: what several platforms share is made once. */
  readonly made: Map<string, CachedStep>;
  /** Names the build: what it does without the cache is shared with no other. */
  readonly buildId: string;
  readonly compression?: BuildCompression;
  /** Steps at once. */
  readonly parallelism: number;
  readonly emit: EmitEvent;
  readonly signal: AbortSignal;
  /** Fetches what ADD names on the network. */
  readonly remote: (remote: RemoteRef, signal: AbortSignal) => Promise<RemoteFiles>;
  /** What the source policy makes of an address that a RUN asks for. */
  readonly policed: (method: string, url: string) => string;
  /** Opens another context of the request. */
  readonly openContext: (context: Digest, signal: AbortSignal) => Promise<BuildContext>;
  /** Caches of the request, asked for steps that our cache does not have. */
  readonly imported?: { find(key: string): Promise<CachedStep | undefined> };
  /** Who builds: what stands on imported layers is remembered for nobody else. */
  readonly owner: string;
  /** Values of secret mounts. */
  readonly secrets: BuildSecretValues;
}

export interface Solution {
  /** Of the target, from the bottom up. */
  readonly layers: readonly Layer[];
  readonly baseLayers: number;
  /** Newest time in what the image is made of, in seconds. */
  readonly newestSeconds: number;
  readonly steps: readonly BuildStepSummary[];
  /** What the scan of the target left, when there was one. */
  readonly scan?: Layer;
  /** Every step whose layer is known, also of stages that were not needed. */
  readonly known: readonly KnownStep[];
}

export interface KnownStep extends SharedStep {
  readonly planned: Step;
  /** Its layer is one of the image. */
  readonly inImage: boolean;
}
