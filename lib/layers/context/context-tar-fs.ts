/**
 * A build context as a tar file, made at once: for constructs, which cannot wait. All members get one date, so that a
 * fresh checkout of the same content is the same context, and the image made of it the same image.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import type { FolderMember } from './folder-state.js';
import { BLOCK_BYTES, paddingOf } from '../tar/tar-format.js';
import { AppError } from '../../errors/index.js';
import { readMemory } from '../../store/folder/read-memory-fs.js';
import { quoteName } from '../tree/path-name.js';
import { encodeHeader } from '../tar/tar-writer.js';

/** 1 January 1980: the first day that ZIP knows, so that wheels and jars made of these files do not fail. */
const EPOCH_SECONDS = 315_532_800;
const CHUNK_BYTES = 1024 * 1024;

/**
 * @returns SHA-256 of the tar, hex
 * @throws AppError CONTEXT_CHANGED when a file got shorter while it was read
 */
export function writeContextTar(members: Iterable<FolderMember>, target: string): string {
  const hash = createHash('sha256');
  const out = openSync(target, 'wx');
  const put = (bytes: Uint8Array): void => {
    hash.update(bytes);
    for (let at = 0; at < bytes.length;) at += writeSync(out, bytes, at);
  };
  try {
    for (const { entry, file } of members) {
      put(encodeHeader({ ...entry, mtimeSeconds: EPOCH_SECONDS }));
      if (entry.sizeBytes > 0) copy(file, entry.sizeBytes, put);
      put(Buffer.alloc(paddingOf(entry.sizeBytes)));
    }
    put(Buffer.alloc(2 * BLOCK_BYTES));
  } finally {
    closeSync(out);
  }
  return hash.digest('hex');
}

/** As many bytes as the header says, should the file grow meanwhile. */
function copy(file: string, sizeBytes: number, put: (bytes: Uint8Array) => void): void {
  const chunk = readMemory(Math.min(CHUNK_BYTES, sizeBytes));
  const source = openSync(file, 'r');
  try {
    for (let left = sizeBytes; left > 0;) {
      const count = readSync(source, chunk, 0, Math.min(left, chunk.length), null);
      if (count === 0) {
        throw new AppError('CONTEXT_CHANGED', `${quoteName(file)} got shorter while it was read`, {
          kind: 'conflict',
          hint: 'nothing that writes into the context while it is packed',
        });
      }
      put(chunk.subarray(0, count));
      left -= count;
    }
  } finally {
    closeSync(source);
  }
}
