/**
 * The wire of ECS, JSON 1.1: `POST /` with the operation in `X-Amz-Target`, errors as `{"__type", "message"}` with
 * status 400 for the client's and 500 for ours, and a request id on every answer.
 */
import { AppError } from '../../errors/index.js';
import { EcsError } from '../ecs-error.js';
import { OPERATIONS } from './operations.js';
import type { Api } from './operation.js';

const TARGET = /^AmazonEC2ContainerServiceV20141113\.([A-Za-z]+)$/;
const JSON_TYPE = 'application/x-amz-json-1.1';
/** Well above the largest request of the API, a task definition of 64 KiB. */
const LARGEST_BODY_BYTES = 1024 * 1024;

/** One operation without the wire, for the engine's own parts. @throws EcsError */
export function call(api: Api, name: string, input: object): Promise<object> {
  const operation = OPERATIONS.get(name);
  if (operation === undefined) throw new EcsError('UnknownOperationException', `${name} is no operation of ECS.`);
  return operation(api, input);
}

/** Never rejects: every failure becomes a response. */
export async function serve(api: Api, request: Request): Promise<Response> {
  const hex = api.context.deps.ids.hex(16);
  const requestId = hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  const target = request.headers.get('x-amz-target') ?? '';
  try {
    const body = await answer(api, request, target);
    return respond(200, body, requestId);
  } catch (error) {
    return failure(api, error, target, requestId);
  }
}

async function answer(api: Api, request: Request, target: string): Promise<object> {
  if (request.method !== 'POST') {
    throw new EcsError('UnknownOperationException', `POST was expected, not ${request.method}.`);
  }
  const name = TARGET.exec(target)?.[1];
  const operation = name === undefined ? undefined : OPERATIONS.get(name);
  if (operation === undefined) {
    throw new EcsError(
      'UnknownOperationException',
      `X-Amz-Target "${target}" is no operation of AmazonEC2ContainerServiceV20141113.`,
    );
  }
  return operation(api, await readInput(request));
}

async function readInput(request: Request): Promise<unknown> {
  const declared = Number(request.headers.get('content-length') ?? 0);
  if (declared > LARGEST_BODY_BYTES) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > LARGEST_BODY_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  if (size === 0) return {};
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)));
  } catch {
    throw new EcsError('SerializationException', 'The body is not JSON in UTF-8.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new EcsError('SerializationException', 'The body is not a JSON object.');
  }
  return value;
}

const tooLarge = (): EcsError =>
  new EcsError('SerializationException', `The body is above ${String(LARGEST_BODY_BYTES)} bytes.`);

function failure(api: Api, error: unknown, target: string, requestId: string): Response {
  if (error instanceof EcsError) {
    const status = error.type === 'ServerException' ? 500 : 400;
    return respond(status, { __type: error.type, message: error.message, ...error.members }, requestId, error.type);
  }
  api.context.deps.logger.error('an ECS operation failed', {
    target,
    requestId,
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
  // What we know to be temporary says so; nothing else of our inside is shown.
  const message =
    error instanceof AppError && error.kind === 'unavailable' ? error.message : 'The engine failed to do this.';
  return respond(500, { __type: 'ServerException', message }, requestId, 'ServerException');
}

function respond(status: number, body: object, requestId: string, errorType?: string): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: {
      'content-type': JSON_TYPE,
      'x-amzn-requestid': requestId,
      ...(errorType === undefined ? {} : { 'x-amzn-errortype': errorType }),
    },
  });
}
