/** Makers of tar members, for the tests of this room. */
import {
  type IndexedLayer,
  type LayerEntry,
  type LayerIndex,
  type TarMember,
  writeLayer,
  type WriteLayerOptions,
} from '../../lib/layers/index.js';
import { decodeIndex } from '../../lib/layers/stored/layer-index.js';

/** A layer, and its index as it is read. */
export type KnownLayer = Omit<IndexedLayer, 'index'> & { readonly index: LayerIndex };

/** Writes a layer and reads its index. */
export async function writtenLayer(
  members: AsyncIterable<TarMember> | Iterable<TarMember>,
  options: WriteLayerOptions,
): Promise<KnownLayer> {
  const layer = await writeLayer(members, options);
  return { ...layer, index: await decodeIndex(layer.index.bytes()) };
}

export async function* bytesOf(...chunks: readonly (Uint8Array | string)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
}

/** Chunks that stay as they were: those of members are good until the next one only. */
async function* copied(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield Buffer.from(chunk);
}

export async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const ROOT = { uid: 0, gid: 0, mtimeSeconds: 0, sizeBytes: 0 } as const;

export function directory(path: string, more: Partial<LayerEntry> = {}): TarMember {
  return { entry: { path, type: 'directory', mode: 0o755, ...ROOT, ...more }, body: bytesOf() };
}

export function file(path: string, content: string | Uint8Array = '', more: Partial<LayerEntry> = {}): TarMember {
  const bytes = Buffer.from(content);
  return {
    entry: { path, type: 'file', mode: 0o644, ...ROOT, sizeBytes: bytes.length, ...more },
    body: bytesOf(bytes),
  };
}

export function symlink(path: string, linkTarget: string, more: Partial<LayerEntry> = {}): TarMember {
  return { entry: { path, type: 'symlink', mode: 0o777, ...ROOT, linkTarget, ...more }, body: bytesOf() };
}

export function hardlink(path: string, linkTarget: string, more: Partial<LayerEntry> = {}): TarMember {
  return { entry: { path, type: 'hardlink', mode: 0o644, ...ROOT, linkTarget, ...more }, body: bytesOf() };
}

export function device(path: string, type: 'char' | 'block', major: number, minor: number): TarMember {
  return { entry: { path, type, mode: 0o600, ...ROOT, device: { major, minor } }, body: bytesOf() };
}

export interface ReadMember {
  readonly entry: LayerEntry;
  readonly content: Buffer;
}

export async function readAll(members: AsyncIterable<TarMember>): Promise<ReadMember[]> {
  const all: ReadMember[] = [];
  for await (const { entry, body } of members) all.push({ entry, content: await collect(copied(body)) });
  return all;
}
