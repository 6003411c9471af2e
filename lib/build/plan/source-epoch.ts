/**
 * SOURCE_DATE_EPOCH in its forms: seconds, or where to take the time from: the context, a named context, or a stage
 * that is an image as it is or one ADD from the network.
 */
import { type Dockerfile, findStage } from '../../dockerfile/index.js';
import { AppError } from '../../errors/index.js';
import type { Digest } from '../../oci/index.js';
import { type Place, withPlace } from '../build-errors.js';
import type { Platform } from '../../oci/index.js';
import type { NamedContexts } from './named-contexts.js';
import type { DraftStage } from './stage-sources.js';
import type { RemoteRef } from './steps.js';

export const EPOCH_ARG = 'SOURCE_DATE_EPOCH';

/** When sources are from, in seconds; undefined where nothing tells. */
export interface SourceTimes {
  /** Of the main context, or of another one; what was uploaded has none. */
  readonly context: (context?: Digest) => Promise<number | undefined>;
  /** Of what ADD fetches, which is fetched for it. */
  readonly remote: (remote: RemoteRef) => Promise<number | undefined>;
}

export interface EpochInput {
  readonly dockerfile: Dockerfile;
  readonly contexts: NamedContexts;
  /** Of the result. */
  readonly platform: Platform;
  readonly times: SourceTimes;
  readonly stage: (index: number) => Promise<DraftStage>;
}

/** As the request or the file's head has it; empty means not given. */
export interface EpochWord {
  readonly text: string;
  /** Of the ARG; absent when the request has it. */
  readonly place?: Place;
}

/** @returns undefined where the source has no time. @throws AppError BUILD_EPOCH_INVALID */
export async function epochSeconds(word: EpochWord, input: EpochInput): Promise<number | undefined> {
  const { text } = word;
  try {
    if (/^\d{1,11}$/.test(text)) return Number(text);
    if (text === 'context') return await input.times.context();
    const named = input.contexts.find(text, input.platform);
    if (named !== undefined) return 'context' in named ? await input.times.context(named.context) : undefined;
    if (!/^[a-z][a-z0-9-_.]*$/i.test(text)) throw invalid(text, 'is not a time');
    return await timeOfStage(text, input);
  } catch (error) {
    throw word.place === undefined ? error : withPlace(error, word.place);
  }
}

async function timeOfStage(name: string, { dockerfile, stage, times }: EpochInput): Promise<number | undefined> {
  const found = findStage(dockerfile.stages, name);
  if (found === undefined) throw invalid(name, 'names no stage');
  const { base, planner } = await stage(found.index);
  const [step, ...more] = planner.steps;
  if (step === undefined && base.kind === 'image') {
    const { created } = base.image.config;
    const seconds = typeof created === 'string' ? Math.floor(Date.parse(created) / 1000) : Number.NaN;
    if (Number.isNaN(seconds)) throw invalid(name, 'names an image that does not say when it was created');
    return Math.max(0, seconds);
  }
  if (step?.op.kind === 'copy' && more.length === 0 && base.kind === 'scratch') {
    const [source, ...others] = step.op.sources;
    if (source?.source.from === 'remote' && others.length === 0) return times.remote(source.source.remote);
  }
  throw invalid(name, 'names a stage that is built here');
}

function invalid(text: string, problem: string): AppError {
  return new AppError('BUILD_EPOCH_INVALID', `${EPOCH_ARG}=${JSON.stringify(text)} ${problem}`, {
    hint: 'seconds since 1970-01-01T00:00:00Z, "context", a named context, or a stage that is an image as it is or FROM scratch with one ADD of a URL',
  });
}
