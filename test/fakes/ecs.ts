/** An ECS endpoint that answers as the test says: for throttling, conflicts and lost connections. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export type EcsAnswer =
  | { readonly body: object }
  /** An exception of this name; 500 for ServerException, else 400. */
  | { readonly error: string; readonly message?: string; readonly [member: string]: unknown }
  /** The connection is cut without an answer, or kept without one. */
  | 'cut'
  | 'hang';

export interface ScriptedEcs {
  readonly endpoint: string;
  readonly calls: { readonly operation: string; readonly input: Record<string, unknown> }[];
  close(): Promise<void>;
}

/** @param answer what to say to the nth call (from 1) of this operation */
export async function scriptedEcs(
  answer: (operation: string, input: Record<string, unknown>, n: number) => EcsAnswer,
): Promise<ScriptedEcs> {
  const calls: ScriptedEcs['calls'] = [];
  const server: Server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const operation = String(incoming.headers['x-amz-target']).split('.')[1] ?? '';
      const input = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
      calls.push({ operation, input });
      const said = answer(operation, input, calls.filter((call) => call.operation === operation).length);
      if (said === 'hang') return;
      if (said === 'cut') {
        incoming.socket.destroy();
        return;
      }
      const isError = 'error' in said;
      const { error, ...members } = isError ? said : { error: '' };
      const status = isError ? (error === 'ServerException' ? 500 : 400) : 200;
      const body = isError ? { __type: error, message: error, ...members } : said.body;
      outgoing.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
