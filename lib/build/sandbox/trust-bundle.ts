/**
 * Lets what runs on a root trust one more certificate authority for a while: it is added to the bundle that the root's
 * TLS libraries read, and taken out again, so that a bundle which nobody changed is as it was to the second. As BuildKit
 * does it, in the places that it knows.
 */
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path/posix';
import { AppError } from '../../errors/index.js';
import type { ImageTree } from '../../layers/index.js';
import { openFolderBelow } from './open-folder.js';

/** Debian and Alpine, Fedora, openSUSE, older Red Hat, RHEL, and LibreSSL's; the first that is there counts. */
const BUNDLES = [
  'etc/ssl/certs/ca-certificates.crt',
  'etc/pki/tls/certs/ca-bundle.crt',
  'etc/ssl/ca-bundle.pem',
  'etc/pki/tls/cacert.pem',
  'etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  'etc/ssl/cert.pem',
];
const MAX_BYTES = 10 * 1024 * 1024;

/**
 * @param rootfs a folder over `lower` that nobody writes to yet
 * @returns takes the authority out again, once nobody writes there any more; undefined where there is no bundle
 */
export async function trust(
  rootfs: string,
  lower: ImageTree,
  certificate: string,
): Promise<(() => Promise<void>) | undefined> {
  const entry = BUNDLES.map((path) => lower.lookup(path)).find((each) => each?.type === 'file');
  if (entry === undefined) return undefined;
  const block = `\n# wharf build proxy begin\n${certificate}# wharf build proxy end\n`;
  const { path } = entry;
  await rewrite(rootfs, path, (text) => Buffer.concat([text, Buffer.from(block)]));
  return () => rewrite(rootfs, path, (text) => without(text, Buffer.from(block)));
}

function without(text: Buffer, block: Buffer): Buffer {
  const at = text.indexOf(block);
  return at === -1 ? text : Buffer.concat([text.subarray(0, at), text.subarray(at + block.length)]);
}

/** The time stays: the file that is put back is not to look like a new one. A command may have made a link of it. */
async function rewrite(rootfs: string, path: string, change: (text: Buffer) => Buffer): Promise<void> {
  const slash = path.lastIndexOf('/');
  const folder = await openFolderBelow(rootfs, path.slice(0, slash));
  if (folder === undefined) return;
  try {
    const file = await openFile(join(folder.path, path.slice(slash + 1)));
    if (file === undefined) return;
    try {
      await rewriteFile(file, path, change);
    } finally {
      await file.close();
    }
  } finally {
    await folder.close();
  }
}

async function rewriteFile(file: FileHandle, path: string, change: (text: Buffer) => Buffer): Promise<void> {
  const before: Stats = await file.stat();
  if (!before.isFile()) return;
  if (before.size > MAX_BYTES) {
    throw new AppError('BUILD_TRUST_BUNDLE_TOO_LARGE', `/${path} of the image has ${before.size} bytes`, {
      hint: `a bundle of certificates of at most ${MAX_BYTES} bytes, or no --proxy-network`,
    });
  }
  const text = await file.readFile();
  const after = change(text);
  if (after.length === text.length) return;
  await file.truncate(0);
  await file.write(after, 0, after.length, 0);
  await file.utimes(before.atime, before.mtime);
}

async function openFile(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}
