/**
 * Where a build is kept: `BUILD#<id>` holds META (state) and E#… (events). Two lists stand beside it, written in the
 * same transactions: BUILDS for "newest first", BUILDS-OPEN for what a restarted worker has to look after.
 */
import type { RecordKey } from '../store/index.js';
import type { Build } from './types.js';

export interface BuildRecord {
  readonly build: Build;
  /** Who submitted it: the build may read what they sent. */
  readonly owner?: string;
  /** Somebody asked it to stop while a worker had it. */
  readonly cancelRequested?: boolean;
  /** How many workers began it. */
  readonly attempts: number;
  /** Outages of the store that ended a try of it. */
  readonly outages?: number;
  /** A worker of its own was asked for: the build goes on there, or nowhere. */
  readonly elsewhere?: {
    /** From 1; the next after a worker that was lost. */
    readonly attempt: number;
    /** When this attempt was decided. */
    readonly sinceMs: number;
    /** Absent until it is known that the worker was started. */
    readonly task?: string;
  };
}

export const BUILD_LIST = 'BUILDS';
export const OPEN_LIST = 'BUILDS-OPEN';

export const buildKey = (id: string): RecordKey => ({ partition: `BUILD#${id}`, sort: 'META' });
export const listKey = (id: string): RecordKey => ({ partition: BUILD_LIST, sort: id });
export const openKey = (id: string): RecordKey => ({ partition: OPEN_LIST, sort: id });
export const leaseKey = (id: string): RecordKey => ({ partition: `LEASE#build/${id}`, sort: '-' });
export const idempotencyKey = (key: string): RecordKey => ({ partition: `IDEM#build#${key}`, sort: '-' });

export function isFinal(build: Build): boolean {
  return build.status !== 'queued' && build.status !== 'running';
}

/** The queue's message body. */
export function encodeMessage(id: string): string {
  return JSON.stringify({ build: id });
}

/** The build id of a message; undefined when it is none of ours. */
export function decodeMessage(body: string): string | undefined {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value !== 'object' || value === null || !('build' in value)) return undefined;
    return typeof value.build === 'string' ? value.build : undefined;
  } catch {
    return undefined;
  }
}
