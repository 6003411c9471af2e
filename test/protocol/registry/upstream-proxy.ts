/** Stands between a cache and its upstream on loopback: counts what is asked, and fails in the ways upstreams fail. */
import { createServer, request as forward, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface UpstreamProxy {
  readonly host: string;
  /** `METHOD path` of what was answered with success. */
  readonly seen: string[];
  /** Answers every request with this instead; undefined: passes them on. */
  failure: { readonly status: number; readonly headers?: Readonly<Record<string, string>> } | undefined;
  /** Cuts the connection when a blob's answer has so many bytes. */
  cutBlobsAfter: number | undefined;
  /** Changes a byte of every blob. */
  corruptsBlobs: boolean;
  /** Blobs wait for this after their first bytes. */
  gate: Promise<void> | undefined;
  close(): Promise<void>;
}

export async function startUpstreamProxy(target: string): Promise<UpstreamProxy> {
  const server = createServer((incoming, outgoing) => pass(target, proxy, incoming, outgoing));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: UpstreamProxy = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen: [],
    failure: undefined,
    cutBlobsAfter: undefined,
    corruptsBlobs: false,
    gate: undefined,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}

function pass(target: string, proxy: UpstreamProxy, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const { method = 'GET', url = '/', headers } = incoming;
  if (proxy.failure !== undefined) {
    outgoing.writeHead(proxy.failure.status, proxy.failure.headers).end();
    return;
  }
  const [host, port] = target.split(':');
  const upstream = forward({ host, port, method, path: url, headers: { ...headers, host: target } }, (answer) => {
    const status = answer.statusCode ?? 500;
    if (status < 300) proxy.seen.push(`${method} ${url}`);
    outgoing.writeHead(status, answer.headers);
    const isBlob = method === 'GET' && url.includes('/blobs/');
    void relay(answer, outgoing, isBlob ? proxy : undefined);
  });
  upstream.on('error', () => outgoing.destroy());
  incoming.pipe(upstream);
}

async function relay(
  answer: IncomingMessage,
  outgoing: ServerResponse,
  proxy: UpstreamProxy | undefined,
): Promise<void> {
  let sent = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      const bytes = Buffer.from(chunk);
      if (proxy?.corruptsBlobs === true) bytes[0] = (bytes[0] ?? 0) ^ 1;
      const cut = proxy?.cutBlobsAfter;
      if (cut !== undefined && sent + bytes.length >= cut) {
        await new Promise((resolve) => outgoing.write(bytes.subarray(0, cut - sent), resolve));
        return void outgoing.destroy();
      }
      outgoing.write(bytes);
      sent += bytes.length;
      if (proxy?.gate !== undefined) await proxy.gate;
    }
    outgoing.end();
  } catch {
    outgoing.destroy();
  }
}
