/**
 * A fetch app behind an API Gateway HTTP API (payload 2.0). Answers are whole, not streamed: an endless one is cut
 * before the gateway's 30 seconds and below Lambda's 6 MB, and its client resumes by Last-Event-ID.
 */
import { Hono } from 'hono';
import { defaultIsContentTypeBinary, handle, type APIGatewayProxyResult, type LambdaEvent } from 'hono/aws-lambda';

export interface HttpApp {
  fetch(request: Request): Response | Promise<Response>;
}

export interface HttpHandlerOptions {
  /** Send every body as base64, so that no byte is taken for text; only what is not text when absent. */
  readonly isExact?: boolean;
  /** How long an answer may take; 25 s when absent. */
  readonly cutMs?: number;
}

export type HttpHandler = (event: LambdaEvent) => Promise<APIGatewayProxyResult>;

const CUT_MS = 25_000;
const CUT_BYTES = 4 * 1024 * 1024;

export function httpHandler(app: HttpApp, options: HttpHandlerOptions = {}): HttpHandler {
  const { isExact = false, cutMs = CUT_MS } = options;
  const front = new Hono();
  front.all('*', async (c) => {
    const response = await app.fetch(new Request(c.req.raw, { signal: AbortSignal.timeout(cutMs) }));
    return response.headers.get('content-type') === 'text/event-stream' ? cutAt(response, CUT_BYTES) : response;
  });
  return handle(front, { isContentTypeBinary: isExact ? () => true : defaultIsContentTypeBinary });
}

/** An event stream that ends after the event with which it passes so many bytes; every chunk is a whole event. */
function cutAt(response: Response, bytes: number): Response {
  let seen = 0;
  const cut = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      controller.enqueue(chunk);
      seen += chunk.length;
      if (seen > bytes) controller.terminate();
    },
  });
  return new Response(response.body?.pipeThrough(cut) ?? null, response);
}
