/**
 * One operation of the HTTP API as data: the app validates with it, the OpenAPI document is written from it, and the
 * authorisation matrix test walks it. What is not in the table is not there.
 */
import type { Duplex } from 'node:stream';
import * as z from 'zod';
import type { Principal } from '../auth/index.js';
import { AppError } from '../errors/index.js';
import type { Idempotency } from './idempotency.js';
import { parseWith, queryObject, readJson } from './input.js';

export type Access = 'open' | 'read' | 'deploy' | 'admin';
export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** A request on its way through the app. */
export interface Call {
  readonly request: Request;
  readonly url: URL;
  /** From the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** Absent on open routes only. */
  readonly principal: Principal | undefined;
  readonly requestId: string;
  /** Fires when the client goes away or the server closes. */
  readonly signal: AbortSignal;
  readonly idempotency: Idempotency;
  /** Takes the connection over; absent unless the client asked for that. */
  readonly upgrade: Upgrade | undefined;
}

/** What a client may ask a connection to become. */
export interface Upgrade {
  readonly protocol: string;
  /** Answers 101 and hands the connection over; what the handler returns is dropped then. */
  accept(): Duplex;
}

export interface Reply {
  /** 200 when absent. */
  readonly status?: number;
  /** Sent as JSON; nothing is sent when undefined. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a route answers with, for the OpenAPI document. */
export interface Answer {
  readonly status: number;
  readonly description: string;
  readonly schema?: z.ZodType;
  /** Content types beside application/json, e.g. text/event-stream. */
  readonly streams?: readonly string[];
}

export interface Route {
  readonly method: Method;
  /** In OpenAPI's form; `{name+}` matches slashes too. */
  readonly path: string;
  readonly id: string;
  readonly summary: string;
  readonly tag: string;
  readonly access: Access;
  readonly params: z.ZodObject;
  readonly query: z.ZodObject;
  readonly body: z.ZodType | undefined;
  /** A JSON form of the body that the handler reads itself. */
  readonly jsonForm: z.ZodType | undefined;
  /** Media types of a body that is not JSON. */
  readonly binaryBody: readonly string[];
  /** Takes Idempotency-Key. */
  readonly isReplayable: boolean;
  readonly answers: readonly Answer[];
  /** Validates the call and handles it. */
  run(call: Call): Promise<Reply | Response>;
}

const EMPTY = z.strictObject({});

type Body<B extends z.ZodType | undefined> = B extends z.ZodType ? z.output<B> : undefined;

export interface Input<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType | undefined> {
  readonly params: z.output<P>;
  readonly query: z.output<Q>;
  readonly body: Body<B>;
  readonly call: Call;
}

export interface RouteOptions<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType | undefined> {
  readonly id: string;
  readonly summary: string;
  readonly tag: string;
  readonly access: Access;
  readonly params?: P;
  readonly query?: Q;
  /** JSON body. */
  readonly body?: B;
  /** One that the handler reads itself, beside `binaryBody`: for the document. */
  readonly jsonForm?: z.ZodType;
  readonly binaryBody?: readonly string[];
  readonly answers: readonly Answer[];
  /** Whether a repetition with the same Idempotency-Key gets the kept answer; every POST with a JSON body when absent. */
  readonly isReplayable?: boolean;
  readonly handler: (input: Input<P, Q, B>) => Promise<Reply | Response>;
}

/**
 * @example route('GET', '/v1/clusters/{cluster}', { id: 'getCluster', access: 'read', …, handler })
 */
export function route<
  P extends z.ZodObject = typeof EMPTY,
  Q extends z.ZodObject = typeof EMPTY,
  B extends z.ZodType | undefined = undefined,
>(method: Method, path: string, options: RouteOptions<P, Q, B>): Route {
  const { id, summary, tag, access, handler, answers, binaryBody = [] } = options;
  const params = options.params ?? EMPTY;
  const query = options.query ?? EMPTY;
  const isReplayable = options.isReplayable ?? (method === 'POST' && options.body !== undefined);
  return {
    method,
    path,
    id,
    summary,
    tag,
    access,
    params,
    query,
    binaryBody,
    answers,
    body: options.body,
    jsonForm: options.jsonForm,
    isReplayable,
    async run(call) {
      const input = {
        params: parseWith(params, call.params, 'path') as z.output<P>,
        query: parseWith(query, queryObject(call.url, query), 'query') as z.output<Q>,
        call,
      };
      if (options.body === undefined) return handler({ ...input, body: undefined as Body<B> });
      const body = parseWith(options.body, await readJson(call.request), 'body') as Body<B>;
      if (!isReplayable) return handler({ ...input, body });
      return call.idempotency.run(call, id, { params: input.params, query: input.query, body }, async () => {
        const reply = await handler({ ...input, body });
        if (reply instanceof Response) throw new AppError('INTERNAL', `${id} cannot be replayed`, { kind: 'internal' });
        return reply;
      });
    },
  };
}
