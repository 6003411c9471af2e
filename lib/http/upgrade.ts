/** A request that asks for another protocol: it passes the API like any other, and only a handler may accept. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Upgrade } from './route.js';

interface Api {
  fetch(request: Request, env?: { readonly upgrade: Upgrade }): Response | Promise<Response>;
}

export async function upgradeRequest(api: Api, incoming: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
  // Until somebody takes it over, a client that goes away is no error.
  socket.on('error', () => socket.destroy());
  let accepted = false;
  const protocol = incoming.headers.upgrade ?? '';
  const upgrade: Upgrade = {
    protocol,
    accept() {
      accepted = true;
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${protocol}\r\n\r\n`);
      if (head.length > 0) socket.unshift(head);
      return socket;
    },
  };
  const response = await api.fetch(requestOf(incoming), { upgrade });
  if (accepted) return;
  // Without a length of the request's body there is no telling where a next request would begin.
  const body = Buffer.from(await response.arrayBuffer());
  const lines = [`HTTP/1.1 ${response.status} ${response.statusText}`, 'connection: close'];
  response.headers.forEach((value, name) => {
    if (name !== 'connection' && name !== 'content-length') lines.push(`${name}: ${value}`);
  });
  socket.end(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\ncontent-length: ${body.length}\r\n\r\n`), body]));
}

/** Hop-by-hop headers and the body, which an upgrade has not, stay behind. */
function requestOf(incoming: IncomingMessage): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value === undefined || ['connection', 'upgrade', 'content-length', 'transfer-encoding'].includes(name))
      continue;
    headers.set(name, Array.isArray(value) ? value.join(', ') : value);
  }
  const url = new URL(incoming.url ?? '/', `http://${incoming.headers.host ?? 'localhost'}`);
  return new Request(url, { method: incoming.method ?? 'GET', headers });
}
