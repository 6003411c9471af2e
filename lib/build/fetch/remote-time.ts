/** When something that was fetched is from. */
import { AppError } from '../../errors/index.js';
import { decompress, readTar, sniffCompression } from '../../layers/index.js';
import type { ContentStore } from '../../store/index.js';
import type { RemoteFiles } from './remote-files.js';

/**
 * The time of the commit, or what the web server says; else that of the newest file in the archive, as BuildKit has it.
 * Undefined where nothing tells.
 */
export async function remoteTime(
  content: Pick<ContentStore, 'open'>,
  { blob, timeSeconds }: Pick<RemoteFiles, 'blob' | 'timeSeconds'>,
): Promise<number | undefined> {
  if (timeSeconds !== undefined) return timeSeconds;
  const head: Uint8Array[] = [];
  for await (const chunk of (await content.open(blob, { start: 0, end: 511 })) ?? []) head.push(chunk);
  const kind = sniffCompression(Buffer.concat(head));
  const bytes = kind === undefined ? undefined : await content.open(blob);
  if (kind === undefined || bytes === undefined) return undefined;
  let newest: number | undefined;
  try {
    for await (const { entry } of readTar(decompress(bytes, kind))) {
      if (entry.type === 'file') newest = Math.max(newest ?? 0, entry.mtimeSeconds);
    }
  } catch (error) {
    // No archive, or a broken one: whoever unpacks it has more to say.
    if (error instanceof AppError) return undefined;
    throw error;
  }
  return newest;
}
