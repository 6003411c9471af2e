/** A client that keeps asking a service through the front, on several connections, and counts what it gets. */
import { Agent, request } from 'node:http';

export interface Asked {
  readonly ok: number;
  readonly failed: number;
  /** What was answered, and how often. */
  readonly answers: ReadonlyMap<string, number>;
  /** The first failure, for the report. */
  readonly firstFailure?: string;
}

export interface Address {
  /** Where the platform listens. */
  readonly port: number;
  /** Host name of the service: the front goes by it. */
  readonly host: string;
}

const CONNECTIONS = 4;
const PAUSE_MS = 5;

/** Asks until `stop` is called, which tells what was seen. */
export function startAsking(address: Address, path: string): { stop(): Promise<Asked> } {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const answers = new Map<string, number>();
  let failed = 0;
  let firstFailure: string | undefined;
  const stopping = new AbortController();
  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        const { status, body } = await get(address, path, agent);
        if (status !== 200) throw new Error(`status ${status}: ${body.slice(0, 200)}`);
        answers.set(body, (answers.get(body) ?? 0) + 1);
      } catch (error) {
        failed += 1;
        firstFailure ??= String(error);
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  };
  const loops = Array.from({ length: CONNECTIONS }, loop);
  return {
    async stop() {
      stopping.abort();
      await Promise.all(loops);
      agent.destroy();
      const ok = [...answers.values()].reduce((sum, count) => sum + count, 0);
      return { ok, failed, answers, ...(firstFailure === undefined ? {} : { firstFailure }) };
    },
  };
}

export function get(
  address: Address,
  path: string,
  agent?: Agent,
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: address.port, path, headers: { host: address.host } };
    const call = request(agent === undefined ? options : { ...options, agent }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => (body += text));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: body.trim() }));
      response.on('error', reject);
    });
    call.on('error', reject);
    call.end();
  });
}
