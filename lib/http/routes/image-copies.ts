/** Copies of images to other registries: only what is lacking there is sent. */
import * as z from 'zod';
import { AppError, toAppError } from '../../errors/index.js';
import { type Digest, parseReference } from '../../oci/index.js';
import { knownBlobs, pushImage, type PushProgress, type PushResult } from '../../registry/client/index.js';
import type { ApiDeps, ApiOptions } from '../api-deps.js';
import { problemOf } from '../problem.js';
import { route, type Route } from '../route.js';
import { ImageCopyRequest } from '../schemas/index.js';
import { sseResponse } from '../sse.js';
import { streamOptions } from './stream-options.js';

export function imageCopyRoutes(deps: ApiDeps, options: ApiOptions): readonly Route[] {
  return [
    route('POST', '/v1/images/{reference+}/push', {
      id: 'pushImage',
      summary: 'Copies an image or an index to another registry; events blob, and last finished or failed',
      tag: 'Images',
      access: 'deploy',
      params: z.strictObject({ reference: z.string() }),
      body: ImageCopyRequest,
      isReplayable: false,
      answers: [{ status: 200, description: 'What was sent', streams: ['text/event-stream'] }],
      handler: async ({ params, body, call }) => {
        const copy = await prepare(deps, params.reference, body);
        async function* events(signal: AbortSignal) {
          let id = 0;
          for await (const data of progressOf((onBlob) => copy(onBlob, signal), call.requestId)) {
            yield { id: String(++id), event: data.type, data };
          }
        }
        return sseResponse(events, streamOptions(deps, options, call));
      },
    }),
  ];
}

type CopyEvent =
  | ({ readonly type: 'blob' } & PushProgress)
  | ({ readonly type: 'finished'; readonly digest: Digest; readonly to: string } & PushResult)
  | { readonly type: 'failed'; readonly problem: object };

type Copy = (
  onBlob: (progress: PushProgress) => void,
  signal: AbortSignal,
) => Promise<PushResult & { readonly digest: Digest; readonly to: string }>;

/** All that can be refused before anything is sent. @throws AppError IMAGE_NOT_FOUND, COPY_TARGET_INVALID */
async function prepare(
  deps: ApiDeps,
  name: string,
  { to: target, referrers }: z.infer<typeof ImageCopyRequest>,
): Promise<Copy> {
  const from = parseReference(name);
  const { registry, repository, tag, digest: pinned } = parseReference(target);
  if (registry === undefined || pinned !== undefined) {
    throw new AppError('COPY_TARGET_INVALID', `${target} names no place at another registry`, {
      hint: 'its host first, and no digest: ghcr.io/team/app:1',
    });
  }
  const images = deps.caches.images;
  const wanted = from.digest === undefined ? { tag: from.tag ?? 'latest' } : { digest: from.digest };
  const found = from.registry === undefined ? await images.manifest(from.repository, wanted) : undefined;
  if (found === undefined) {
    throw new AppError('IMAGE_NOT_FOUND', `there is no image ${name} in the registry`, { kind: 'not-found' });
  }
  const to = { repository, tag: tag ?? from.tag ?? 'latest' };
  const client = await deps.connections.open(registry);
  await client.ping();
  return async (onBlob, signal) => {
    const known = knownBlobs(deps, registry);
    const image = { repository: from.repository, digest: found.digest, to };
    const attached =
      referrers === true
        ? { attachedTo: (repository: string, digest: Digest) => deps.registry.attachedTo(repository, digest) }
        : {};
    const result = await pushImage({ ...deps, images, client, known, ...attached }, image, { signal, onBlob });
    return { ...result, digest: found.digest, to: `${registry}/${to.repository}:${to.tag}` };
  };
}

/** The work's progress as events; a failure is the last of them, since the answer has begun. */
async function* progressOf(
  work: (onBlob: (progress: PushProgress) => void) => ReturnType<Copy>,
  requestId: string,
): AsyncGenerator<CopyEvent> {
  const waiting: CopyEvent[] = [];
  let wake = (): void => {};
  const add = (event: CopyEvent): void => {
    waiting.push(event);
    wake();
  };
  let isOver = false;
  void work((progress) => add({ type: 'blob', ...progress }))
    .then(
      (result) => add({ type: 'finished', ...result }),
      (error: unknown) => add({ type: 'failed', problem: problemOf(toAppError(error), requestId) }),
    )
    .finally(() => {
      isOver = true;
      wake();
    });
  for (;;) {
    const event = waiting.shift();
    if (event !== undefined) yield event;
    else if (isOver) return;
    else await new Promise<void>((resolve) => (wake = resolve));
  }
}
