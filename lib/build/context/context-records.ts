/**
 * What is known of contexts that were sent as lists of files. The list is a blob, its digest the context's; a record
 * for each owner says where the contents lie, so nobody learns from a digest alone what others have sent.
 */
import type { Digest } from '../../oci/index.js';
import type { RecordKey } from '../../store/index.js';

/** `CONTEXT#<digest of the list>` / `OF#<owner>` */
export interface ContextRecord {
  /** Blob of ContextPlaces. */
  readonly places: Digest;
  readonly packs: readonly Digest[];
  readonly sizeBytes: number;
}

/** `CONTEXT-LAST#<owner>` / `<name>`: what the next context of that name is compared with. */
export interface LastContextRecord {
  readonly context: Digest;
}

/** `CONTEXT-UPLOAD#<id>` / `-`: contents on their way. */
export interface ContextUploadRecord {
  readonly owner: string;
  readonly name: string;
  readonly context: Digest;
  /** Of the whole context. */
  readonly sizeBytes: number;
  /** Blob that says what the upload is to become. */
  readonly arranged: Digest;
  /** In the blob store. */
  readonly upload: string;
  readonly missingBytes: number;
}

const DAY_MS = 24 * 3600 * 1000;
/** A context nobody builds for so long is forgotten. It is renewed when less than half of it is left. */
export const CONTEXT_KEEP_MS = 14 * DAY_MS;
/** Shorter than the lease of a blob: what the upload stands on is there as long as it is. */
export const CONTEXT_UPLOAD_MS = DAY_MS / 2;

export const contextKey = (context: Digest, owner: string): RecordKey => ({
  partition: `CONTEXT#${context}`,
  sort: `OF#${owner}`,
});
export const lastContextKey = (owner: string, name: string): RecordKey => ({
  partition: `CONTEXT-LAST#${owner}`,
  sort: name,
});
export const contextUploadKey = (id: string): RecordKey => ({ partition: `CONTEXT-UPLOAD#${id}`, sort: '-' });
export const contextBlobHolder = (context: Digest, owner: string): string => `CONTEXT#${context}/${owner}`;
