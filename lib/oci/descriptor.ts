/** Descriptor: what points at content: media type, digest, size (OCI image-spec, descriptor.md). */
import { AppError } from '../errors/index.js';
import { type Digest, isDigest } from './digest.js';
import type { Platform } from './platform.js';

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: Platform;
  readonly artifactType?: string;
  readonly urls?: readonly string[];
  readonly data?: string;
}

/**
 * Checks one descriptor of a parsed JSON document.
 * @param at where it stands, as a JSON pointer, for the message
 * @throws AppError MANIFEST_INVALID
 */
export function parseDescriptor(value: unknown, at: string): Descriptor {
  const object = asObject(value, at);
  if (typeof object['mediaType'] !== 'string' || object['mediaType'] === '') {
    throw invalid(`${at}/mediaType`, 'is not a media type');
  }
  const digest = object['digest'];
  if (typeof digest !== 'string' || !isDigest(digest)) throw invalid(`${at}/digest`, 'is not a digest');
  const size = object['size'];
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw invalid(`${at}/size`, 'is not a whole number of bytes');
  }
  if (object['annotations'] !== undefined) parseAnnotations(object['annotations'], `${at}/annotations`);
  return object as unknown as Descriptor;
}

export function parseAnnotations(value: unknown, at: string): Readonly<Record<string, string>> {
  const object = asObject(value, at);
  for (const [key, text] of Object.entries(object)) {
    if (typeof text !== 'string') throw invalid(`${at}/${key}`, 'is not a string');
  }
  return object as Record<string, string>;
}

export function asObject(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(at, 'is not a JSON object');
  return value as Record<string, unknown>;
}

export function invalid(at: string, problem: string): AppError {
  return new AppError('MANIFEST_INVALID', `${at === '' ? 'the document' : at} ${problem}`, {
    details: { pointer: at },
  });
}
