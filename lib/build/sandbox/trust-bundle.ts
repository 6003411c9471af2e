/**
 * Lets what runs on a root trust one more certificate authority for a while: it is added to the bundle that the root's
 * TLS libraries read, and taken out again, so that a bundle which nobody changed is as it was to the second. As BuildKit
 * does it, in the places that it knows. What has a store of its own, or reads the bundle after a command has made it anew,
 * is led by variables to a file outside of the root.
 */
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path/posix';
import { AppError } from '../../errors/index.js';
import type { ImageTree } from '../../layers/index.js';
import { openFolderBelow } from './open-folder.js';
import type { SandboxMount } from './sandbox.js';

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
/** Where a command finds the bundle whatever becomes of the root's; nothing of it stays in a layer. */
const OUTSIDE = '/dev/pipes/wharf-build-proxy.pem';
/** OpenSSL, curl and Go; Python's requests, with pip; git; Node. */
const NAMES_OF_BUNDLES = ['SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'GIT_SSL_CAINFO', 'NODE_EXTRA_CA_CERTS'];

export interface Trust {
  readonly mount: SandboxMount;
  /** For names that the command does not have by itself. */
  readonly env: Readonly<Record<string, string>>;
  /** Takes the authority out again, once nobody writes there any more. */
  end(): Promise<void>;
}

/** @param rootfs a folder over `lower` that nobody writes to yet */
export async function trust(rootfs: string, lower: ImageTree, certificate: string): Promise<Trust> {
  const block = Buffer.from(`\n# wharf build proxy begin\n${certificate}# wharf build proxy end\n`);
  const path = BUNDLES.map((each) => lower.lookup(each)).find((each) => each?.type === 'file')?.path;
  let bundle: Buffer = block;
  if (path !== undefined) await rewrite(rootfs, path, (text) => (bundle = Buffer.concat([text, block])));
  return {
    mount: { type: 'file', target: OUTSIDE, content: bundle.toString('utf8'), mode: 0o644 },
    env: Object.fromEntries(NAMES_OF_BUNDLES.map((name) => [name, OUTSIDE])),
    end: async () => {
      if (path !== undefined) await rewrite(rootfs, path, (text) => without(text, block));
    },
  };
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
