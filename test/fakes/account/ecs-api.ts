/** An engine behind the wire of Amazon ECS, with a place where a test sees and changes what is asked. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Engine } from '../../../lib/engine/index.js';
import { jsonFailure, type JsonFault } from '../json-api.js';

export type EcsInput = Readonly<Record<string, unknown>>;

export interface EcsApi {
  readonly endpoint: string;
  /** Calls the engine as whoever looks after the account: unseen and unchanged. */
  ask(operation: string, input: object): Promise<Record<string, unknown>>;
  close(): Promise<void>;
}

const TARGET = 'AmazonEC2ContainerServiceV20141113.';

/**
 * @param seen gets every call and gives what the engine is asked; an answer instead ends the call
 * @param fault asked at every call of a function
 */
export async function serveEcs(
  engine: Engine,
  seen: (operation: string, input: EcsInput) => Promise<EcsInput | Response>,
  fault: (operation: string) => JsonFault = () => undefined,
): Promise<EcsApi> {
  const ask = (operation: string, input: object): Promise<Response> => {
    const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `${TARGET}${operation}` };
    return engine.fetch(new Request('http://ecs/', { method: 'POST', headers, body: JSON.stringify(input) }));
  };
  const server = createServer((request, response) => {
    void (async () => {
      const operation = String(request.headers['x-amz-target']).slice(TARGET.length);
      const wrong = fault(operation);
      if (wrong === 'hang-before') return;
      if (wrong === 'cut-before') {
        response.destroy();
        return;
      }
      if (typeof wrong === 'object') {
        const { status, body } = jsonFailure(wrong.status, wrong.type, wrong.type, wrong.more);
        response.writeHead(status).end(body);
        return;
      }
      const wanted = await seen(operation, JSON.parse(await text(request)) as EcsInput);
      const answer = wanted instanceof Response ? wanted : await ask(operation, wanted);
      const said = await answer.text();
      if (wrong === 'hang-after') return;
      if (wrong === 'cut-after') response.destroy();
      else response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(said);
    })().catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ask: async (operation, input) => (await (await ask(operation, input)).json()) as Record<string, unknown>,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
