/** Reading a request: limits while the bytes pass, and schemas whose findings become JSON pointers. */
import * as z from 'zod';
import { AppError } from '../errors/index.js';
import { type InvalidPart, invalidRequest } from './problem.js';

/** 1 MiB: no JSON body of ours is larger. */
export const MAX_JSON_BYTES = 1024 * 1024;

/** @throws AppError REQUEST_INVALID */
export function parseWith<T extends z.ZodType>(schema: T, value: unknown, where: string): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw invalidRequest(result.error.issues.flatMap((issue) => partsOf(issue, where)));
}

function partsOf(issue: z.core.$ZodIssue, where: string): readonly InvalidPart[] {
  const pointer = issue.path.map((part) => `/${escapePointer(String(part))}`).join('');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      in: where,
      pointer: `${pointer}/${escapePointer(key)}`,
      detail: 'is not known here',
    }));
  }
  return [{ in: where, pointer, detail: issue.message }];
}

function escapePointer(part: string): string {
  return part.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** The query as an object: a list where the schema has a list, else the last value. */
export function queryObject(url: URL, schema: z.ZodObject): Record<string, unknown> {
  const query: Record<string, unknown> = {};
  for (const name of new Set(url.searchParams.keys())) {
    const values = url.searchParams.getAll(name);
    query[name] = isList(schema.shape[name]) ? values : values.at(-1);
  }
  return query;
}

function isList(type: z.core.$ZodType | undefined): boolean {
  const inner = type instanceof z.ZodExactOptional ? type.unwrap() : type;
  return inner instanceof z.ZodArray;
}

/** @throws AppError MEDIA_TYPE_UNSUPPORTED, BODY_TOO_LARGE, JSON_INVALID */
export async function readJson(request: Request, maxBytes = MAX_JSON_BYTES): Promise<unknown> {
  const type = mediaTypeOf(request);
  if (type !== 'application/json' && !type.endsWith('+json')) {
    throw new AppError('MEDIA_TYPE_UNSUPPORTED', `content type ${JSON.stringify(type)}`, {
      hint: 'application/json',
    });
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of boundedBody(request, maxBytes)) chunks.push(chunk);
  const text = new TextDecoder().decode(Buffer.concat(chunks));
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError('JSON_INVALID', 'the body is not JSON', {
      details: { errors: [{ in: 'body', pointer: '', detail: error instanceof Error ? error.message : 'unreadable' }] },
    });
  }
}

/** The bytes of the body. @throws AppError BODY_TOO_LARGE as soon as it is known */
export async function* boundedBody(request: Request, maxBytes: number): AsyncIterable<Uint8Array> {
  const refuse = (): AppError =>
    new AppError('BODY_TOO_LARGE', `the body is larger than ${maxBytes} bytes`, {
      kind: 'too-large',
      hint: `at most ${maxBytes} bytes`,
    });
  const announced = Number(request.headers.get('content-length') ?? 0);
  if (announced > maxBytes) throw refuse();
  let seen = 0;
  for await (const chunk of request.body ?? []) {
    const bytes = chunk as Uint8Array;
    seen += bytes.length;
    if (seen > maxBytes) throw refuse();
    yield bytes;
  }
}

/** Without parameters, lower case; empty when there is none. */
export function mediaTypeOf(request: Request): string {
  return (request.headers.get('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

/** People behind curl get text unless they ask for something else; programs get JSON or events. */
export function wantsText(request: Request): boolean {
  const accept = request.headers.get('accept') ?? '*/*';
  if (accept.includes('text/plain')) return true;
  return accept === '*/*' && (request.headers.get('user-agent') ?? '').startsWith('curl/');
}
