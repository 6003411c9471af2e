/** A small web server of a test, such as a task would be. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Target } from '../../lib/engine/index.js';

export interface Backend {
  readonly server: Server;
  readonly target: Target;
  readonly close: () => Promise<void>;
}

export async function startBackend(listener: RequestListener, port = 0): Promise<Backend> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    server,
    target: { host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

export async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const end = performance.now() + 15_000;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`never came about: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
