/** What an API Gateway event becomes, and how an answer without an end is given all the same. */
import { describe, expect, test } from '@jest/globals';
import { httpHandler, type HttpApp } from '../../lib/host/aws/http.js';
import { eventOf } from '../fakes/lambda/gateway.js';

type Handled = Parameters<ReturnType<typeof httpHandler>>[0];

function event(method: string, url: string, headers: Record<string, string> = {}, body = Buffer.alloc(0)): Handled {
  return eventOf({ method, url, headers: { host: 'api.example.org', ...headers } }, body) as unknown as Handled;
}

const echo: HttpApp = {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    const body = Buffer.from(await request.arrayBuffer()).toString('hex');
    const seen = {
      method: request.method,
      pathname,
      tags: searchParams.getAll('tag'),
      cookie: request.headers.get('cookie'),
      body,
    };
    return Response.json(seen, { headers: { 'set-cookie': 'a=1' } });
  },
};

/** An event stream that goes on until its request ends. */
function endless(chunk: string): HttpApp {
  return {
    async fetch({ signal }) {
      const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
          await new Promise((resolve) => setImmediate(resolve));
          if (signal.aborted) controller.close();
          else controller.enqueue(Buffer.from(chunk));
        },
      });
      return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
    },
  };
}

describe('the handler of gateway events', () => {
  test('keeps colons, pluses, repeated parameters, cookies and binary bodies', async () => {
    const sent = event(
      'PUT',
      '/v2/a/manifests/v1.0+build:x?tag=one&tag=two%2Bthree',
      { cookie: 'b=2; c=3', 'content-type': 'application/octet-stream' },
      Buffer.from([0, 0xff, 0xfe]),
    );
    const result = await httpHandler(echo)(sent);
    expect(JSON.parse(result.body ?? '')).toEqual({
      method: 'PUT',
      pathname: '/v2/a/manifests/v1.0+build:x',
      tags: ['one', 'two+three'],
      cookie: 'b=2; c=3',
      body: '00fffe',
    });
    expect(result).toMatchObject({ statusCode: 200, isBase64Encoded: false, cookies: ['a=1'] });
  });

  test('gives HEAD the headers of its answer and no body', async () => {
    const app: HttpApp = {
      fetch: (request) => new Response(null, { headers: { 'content-length': '42', 'x-method': request.method } }),
    };
    const result = await httpHandler(app, { isExact: true })(event('HEAD', '/v2/a/blobs/x'));
    expect(result).toMatchObject({ body: '', headers: { 'content-length': '42', 'x-method': 'HEAD' } });
  });

  test('is exact to the byte where asked, even for what calls itself text', async () => {
    const bytes = Buffer.from([0xef, 0xbb, 0xbf, 0x7b, 0xff, 0x7d]);
    const app: HttpApp = { fetch: () => new Response(bytes, { headers: { 'content-type': 'application/json' } }) };
    const result = await httpHandler(app, { isExact: true })(event('GET', '/'));
    expect([result.isBase64Encoded, Buffer.from(result.body ?? '', 'base64')]).toEqual([true, bytes]);
  });

  test('refuses what is no request', async () => {
    const result = await httpHandler(echo)(event('GET', '/', { 'x-name': 'snow\u2603' }));
    expect(result.statusCode).toBe(400);
  });

  test('stops the source of a stream that it has cut', async () => {
    let isCancelled = false;
    const app: HttpApp = {
      fetch: () =>
        new Response(new ReadableStream({ cancel: () => void (isCancelled = true) }), {
          headers: { 'content-type': 'text/event-stream' },
        }),
    };
    const result = await httpHandler(app, { streamMs: 10 })(event('GET', '/'));
    expect([result.statusCode, result.body, isCancelled]).toEqual([200, '', true]);
  });

  test('ends an endless stream when its time is over', async () => {
    const result = await httpHandler(endless('id: 1\n\n'), { streamMs: 30 })(event('GET', '/v1/builds/x/log'));
    expect(result.statusCode).toBe(200);
    expect(Buffer.from(result.body ?? '', 'base64').toString()).toMatch(/^(id: 1\n\n)+$/);
  });

  test('ends a stream after a whole event before the answer is too large for Lambda', async () => {
    const chunk = `data: ${'x'.repeat(100_000)}\n\n`;
    const result = await httpHandler(endless(chunk), { streamMs: 20_000 })(event('GET', '/v1/builds/x/log'));
    expect((result.body ?? '').length).toBeLessThan(6 * 1024 * 1024);
    expect(Buffer.from(result.body ?? '', 'base64').length % chunk.length).toBe(0);
  });
});
