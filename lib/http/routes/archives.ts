/** Images as tars in answers: of the registry by name, or what a build made. */
import { Readable } from 'node:stream';
import * as z from 'zod';
import { ARCHIVE_FORMATS, type ImageArchiveOptions } from '../../build/index.js';
import { LayerIndexes } from '../../layers/index.js';
import type { ByteSource } from '../../store/index.js';
import type { ApiDeps } from '../api-deps.js';
import type { Call } from '../route.js';

export const ArchiveQuery = z.strictObject({
  format: z.enum(ARCHIVE_FORMATS).exactOptional().meta({ description: 'oci when absent.' }),
  platform: z.string().exactOptional().meta({ description: 'Which image of an index.' }),
});

export const BuiltArchiveQuery = ArchiveQuery.extend({
  platformSplit: z
    .enum(['true', 'false'])
    .exactOptional()
    .meta({ description: 'Of rootfs: a folder for each platform; when absent only where there are several.' }),
  attestationPrefix: z
    .string()
    .max(100)
    .regex(/^[^/\0]*$/, { error: 'has a slash' })
    .exactOptional()
    .meta({ description: 'Of rootfs: what the names of attestations begin with.' }),
});

export function archiveOptions(query: z.output<typeof BuiltArchiveQuery>): ImageArchiveOptions {
  const { format = 'oci', platformSplit, ...others } = query;
  return { format, ...others, ...(platformSplit === undefined ? {} : { platformSplit: platformSplit === 'true' }) };
}

export function archiveDeps(deps: ApiDeps): ApiDeps & { readonly indexes: LayerIndexes } {
  return { ...deps, indexes: new LayerIndexes(deps) };
}

export function tarResponse(deps: ApiDeps, call: Call, archive: ByteSource): Response {
  const tar = Readable.from(archive, { objectMode: false, signal: call.signal });
  tar.on('error', (error) => {
    if (!call.signal.aborted) deps.logger.error('an export broke off', { requestId: call.requestId, error });
  });
  const headers = { 'content-type': 'application/x-tar', 'cache-control': 'no-store' };
  return new Response(Readable.toWeb(tar) as ReadableStream<Uint8Array>, { headers });
}
