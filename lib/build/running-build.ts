/** A build under way: what was asked for, and what is known of it by now. */
import type { FetchedSources } from './attest/fetched-sources.js';
import type { BuildFunction } from './build-tries.js';
import type { PolicedSources } from './policy/policed-sources.js';
import type { Redaction } from './redaction.js';
import type { BuildRequest } from './types.js';

export type BuildCall = Parameters<BuildFunction>[1];

export interface RunningBuild extends BuildCall {
  /** The request, after the source policy has had its say. */
  readonly wanted: BuildRequest;
  readonly startedMs: number;
  readonly fetched: FetchedSources;
  readonly redaction: Redaction;
  readonly policy: PolicedSources;
}
