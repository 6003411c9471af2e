/**
 * Every file of an image. Both images are listed by an independent reader (Python's tarfile), so that a mistake in our
 * own reader cannot hide one in our writer; ours is checked against it besides.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { LayerFile } from './image-files.js';

export interface ListedFile {
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  readonly link?: string;
  readonly device?: string;
  readonly size?: number;
  readonly sha256?: string;
  /** Values in hex. */
  readonly xattrs?: Readonly<Record<string, string>>;
  /** All names of a file that has several. */
  readonly names?: readonly string[];
}

export interface Listing {
  /** By absolute path. */
  readonly files: ReadonlyMap<string, ListedFile>;
  /** What is wrong with the layers themselves: double entries, links to nothing. */
  readonly problems: readonly string[];
}

export interface ListingCache {
  readonly folder: string;
  /** Layers (diff ids) that many images share. */
  readonly layers: readonly string[];
}

const READER = fileURLToPath(new URL('image-listing.py', import.meta.url));

export async function listImage(layers: readonly LayerFile[], cache: ListingCache): Promise<Listing> {
  const request = JSON.stringify({ layers, cache: cache.folder, cached: cache.layers });
  const output = await new Promise<string>((resolve, reject) => {
    const child = execFile(
      '/usr/bin/python3',
      [READER],
      { maxBuffer: 1 << 28, env: { PYTHONIOENCODING: 'utf-8:backslashreplace' } },
      (error, stdout, stderr) => (error === null ? resolve(stdout) : reject(new Error(`${READER}: ${stderr}`))),
    );
    child.stdin?.end(request);
  });
  const { files, problems } = JSON.parse(output) as { files: Record<string, ListedFile>; problems: string[] };
  return { files: new Map(Object.entries(files)), problems };
}
