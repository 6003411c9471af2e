/**
 * The Lambda Runtime API (2018-06-01) of one execution environment: hands its process one invocation at a time and
 * takes what came of it, within the limit on a response.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

export interface Invocation {
  readonly id: string;
  readonly payload: string;
  readonly deadlineMs: number;
  readonly functionArn: string;
}

/** What the process answered: a payload, or an error of this type. */
export type Answer =
  { readonly payload: string } | { readonly errorType: string; readonly message: string; readonly trace?: string };

/** Synchronous invocations, either way; six MB are 6 x 1024 x 1024 and a little for the envelope. */
export const LAMBDA_PAYLOAD_BYTES = 6 * 1024 * 1024;

export class RuntimeApi {
  private readonly server = createServer((request, response) => {
    this.serve(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  private waiting: ServerResponse | undefined;
  private current: { readonly invocation: Invocation; settle(answer: Answer): void } | undefined;
  private asksFirst: () => void = () => {};
  private initFailed: (answer: Answer) => void = () => {};
  /** Resolves when the process asks for its first invocation; to an answer when it says that it cannot start. */
  readonly initialised: Promise<Answer | undefined> = new Promise((resolve) => {
    this.asksFirst = () => resolve(undefined);
    this.initFailed = resolve;
  });

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    // The process waits for its next invocation as long as it takes.
    this.server.requestTimeout = 0;
    this.server.keepAliveTimeout = 0;
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Gives the invocation to the process; it must have none. */
  async invoke(invocation: Invocation): Promise<Answer> {
    const answered = new Promise<Answer>((resolve) => {
      this.current = { invocation, settle: resolve };
    });
    this.deliver();
    return answered;
  }

  /** What the process answered no longer counts, as after its end. */
  abandon(): void {
    this.current = undefined;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '').replace('/2018-06-01/runtime/', '');
    if (request.method === 'GET' && path === 'invocation/next') {
      this.waiting = response;
      this.asksFirst();
      this.deliver();
      return;
    }
    const body = await buffer(request);
    if (path === 'init/error') {
      this.initFailed(errorOf(request, body));
      return accept(response);
    }
    const [, id, kind] = /^invocation\/([^/]+)\/(response|error)$/.exec(path) ?? [];
    const { current } = this;
    if (id === undefined || current === undefined || current.invocation.id !== id) {
      response.writeHead(400).end(JSON.stringify({ errorType: 'InvalidRequestID' }));
      return;
    }
    this.current = undefined;
    if (kind === 'error') current.settle(errorOf(request, body));
    else if (body.length > LAMBDA_PAYLOAD_BYTES) current.settle(tooLarge(body.length));
    else current.settle({ payload: body.toString() });
    accept(response);
  }

  private deliver(): void {
    const { waiting, current } = this;
    if (waiting === undefined || current === undefined) return;
    this.waiting = undefined;
    const { id, payload, deadlineMs, functionArn } = current.invocation;
    waiting
      .writeHead(200, {
        'content-type': 'application/json',
        'lambda-runtime-aws-request-id': id,
        'lambda-runtime-deadline-ms': String(deadlineMs),
        'lambda-runtime-invoked-function-arn': functionArn,
      })
      .end(payload);
  }
}

function accept(response: ServerResponse): void {
  response.writeHead(202, { 'content-type': 'application/json' }).end('{"status":"OK"}');
}

function tooLarge(bytes: number): Answer {
  return {
    errorType: 'Function.ResponseSizeTooLarge',
    message: `Response payload size (${bytes} bytes) exceeded maximum allowed payload size (${LAMBDA_PAYLOAD_BYTES} bytes).`,
  };
}

function errorOf(request: IncomingMessage, body: Buffer): Answer {
  const { errorMessage = '', trace = [] } = JSON.parse(body.toString()) as { errorMessage?: string; trace?: string[] };
  const errorType = String(request.headers['lambda-runtime-function-error-type'] ?? 'Error');
  return { errorType, message: errorMessage, trace: trace.join('\n') };
}
