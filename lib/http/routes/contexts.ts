/** Build contexts: uploaded as a tar, or as a list of files of which only the missing contents are sent. */
import * as z from 'zod';
import { ContextUploads, type KnownContext } from '../../build/index.js';
import { AppError } from '../../errors/index.js';
import { decompress } from '../../layers/index.js';
import type { Digest } from '../../oci/index.js';
import type { ApiDeps, ApiOptions } from '../api-deps.js';
import { boundedBody, mediaTypeOf } from '../input.js';
import { type Call, type Reply, route, type Route } from '../route.js';
import { Context, ContextGap, ContextOffset } from '../schemas/index.js';

/** 4 GiB. */
const MAX_CONTEXT_BYTES = 4 * 1024 ** 3;
/** Of a list of files; half a million of them. */
const MAX_LIST_BYTES = 128 * 1024 ** 2;
const LIST_TYPE = 'application/vnd.wharf.context.v1+jsonl';
/** curl sends a form type unless told otherwise, and -T sends none. */
const TAR_TYPES = [
  'application/x-tar',
  'application/gzip',
  'application/x-gzip',
  'application/octet-stream',
  'application/x-www-form-urlencoded',
  '',
];
export const TAR_BODIES: readonly string[] = TAR_TYPES.filter((type) => type !== '');

export function contextRoutes(deps: ApiDeps, options: ApiOptions): readonly Route[] {
  const tag = 'Builds';
  const uploads = new ContextUploads(deps, deps.contexts);
  return [
    route('POST', '/v1/contexts', {
      id: 'uploadContext',
      summary: 'Uploads a build context: a tar, plain or gzip, or a list of files whose contents follow where missing',
      tag,
      access: 'deploy',
      query: z.strictObject({
        name: z
          .string()
          .min(1)
          .max(200)
          .exactOptional()
          .meta({ description: 'Of a list: it is compared with your last one of that name.' }),
      }),
      binaryBody: [...TAR_BODIES, LIST_TYPE],
      answers: [
        { status: 201, description: 'Where it is kept', schema: Context },
        { status: 202, description: 'Entries of the list whose contents are to be sent', schema: ContextGap },
      ],
      handler: async ({ call, query }) =>
        mediaTypeOf(call.request) === LIST_TYPE
          ? offerContext(uploads, options, call, query.name ?? '-')
          : { status: 201, body: await storeContext(deps, options, call) },
    }),
    route('PUT', '/v1/contexts/{upload}', {
      id: 'sendContextContents',
      summary: 'Sends the missing contents of a context, one after the other, or a part of them from an offset on',
      tag,
      access: 'deploy',
      params: z.strictObject({ upload: z.string().min(1) }),
      query: z.strictObject({ offset: z.coerce.number().int().min(0).exactOptional() }),
      binaryBody: ['application/octet-stream'],
      answers: [
        { status: 201, description: 'The context is complete', schema: Context },
        { status: 202, description: 'What is there so far', schema: ContextOffset },
      ],
      handler: async ({ call, params, query }) => {
        const body = boundedBody(call.request, options.maxContextBytes ?? MAX_CONTEXT_BYTES);
        const sent = await uploads.send(ownerOf(call), params.upload, query.offset ?? 0, body, call.request.signal);
        return 'context' in sent ? complete(sent.context) : { status: 202, body: sent };
      },
    }),
  ];
}

/** Contexts sent as lists are known to who sent them. */
export function ownerOf({ principal }: Call): string {
  return principal?.id ?? '';
}

async function offerContext(
  uploads: ContextUploads,
  { pieceBytes }: ApiOptions,
  call: Call,
  name: string,
): Promise<Reply> {
  const body = boundedBody(call.request, MAX_LIST_BYTES);
  const isGzip = call.request.headers.get('content-encoding') === 'gzip';
  const list = isGzip ? decompress(body, 'gzip', { maxBytes: MAX_LIST_BYTES, maxRatio: 100 }) : body;
  const offer = await uploads.offer(ownerOf(call), name, list, call.request.signal);
  if ('context' in offer) return complete(offer.context);
  return { status: 202, body: pieceBytes === undefined ? offer : { ...offer, pieceBytes } };
}

function complete({ digest, sizeBytes }: KnownContext): Reply {
  return { status: 201, body: { digest, sizeBytes } };
}

/** Keeps the body, a tar. @throws AppError MEDIA_TYPE_UNSUPPORTED, BODY_TOO_LARGE, CONTEXT_EMPTY */
export async function storeContext(
  deps: ApiDeps,
  options: ApiOptions,
  call: Call,
): Promise<{ digest: Digest; sizeBytes: number }> {
  const type = mediaTypeOf(call.request);
  if (!TAR_TYPES.includes(type)) {
    throw new AppError('MEDIA_TYPE_UNSUPPORTED', `content type ${JSON.stringify(type)}`, {
      hint: 'a tar as application/x-tar or application/gzip, or a JSON request that names an uploaded context',
    });
  }
  const bytes = boundedBody(call.request, options.maxContextBytes ?? MAX_CONTEXT_BYTES);
  const stored = await deps.content.put(bytes, { signal: call.request.signal });
  if (stored.sizeBytes === 0) {
    throw new AppError('CONTEXT_EMPTY', 'the body is empty', { hint: 'tar -c . | curl -T - …, or wharf build .' });
  }
  return stored;
}
