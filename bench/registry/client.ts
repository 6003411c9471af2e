/** The load's HTTP client: kept-alive connections, bodies sent and dropped as fast as they go, statuses checked. */
import { Agent, type IncomingMessage, request as httpRequest } from 'node:http';
import { once } from 'node:events';
import { Downloads } from './downloads.js';

export interface Answer {
  readonly status: number;
  readonly location: string | undefined;
  readonly bytes: number;
}

export interface Sending {
  readonly body?: readonly Buffer[];
  /** Without Content-Length, as docker does it. */
  readonly chunked?: boolean;
  readonly contentType?: string;
  readonly accept?: string;
}

const PIECE_BYTES = 256 * 1024;

export class LoadClient {
  private readonly agent: Agent;
  private readonly downloads: Downloads;

  constructor(
    private readonly base: string,
    private readonly authorization: string | undefined,
    clients: number,
  ) {
    this.agent = new Agent({ keepAlive: true, maxSockets: clients, scheduling: 'lifo' });
    this.downloads = new Downloads(new URL(base), authorization);
  }

  /** @throws Error unless it answers with `expected` */
  async send(expected: number, method: string, path: string, sending: Sending = {}): Promise<Answer> {
    const { body = [], chunked = false, contentType, accept } = sending;
    const length = body.reduce((sum, each) => sum + each.length, 0);
    const headers: Record<string, string> = {};
    if (this.authorization !== undefined) headers['authorization'] = this.authorization;
    if (contentType !== undefined) headers['content-type'] = contentType;
    if (accept !== undefined) headers['accept'] = accept;
    if (chunked) headers['transfer-encoding'] = 'chunked';
    else if (method !== 'GET' && method !== 'HEAD') headers['content-length'] = String(length);
    const request = httpRequest(new URL(path, this.base), { method, headers, agent: this.agent });
    const answered = once(request, 'response') as Promise<[IncomingMessage]>;
    answered.catch(() => {});
    for (const buffer of body) {
      for (let at = 0; at < buffer.length; at += PIECE_BYTES) {
        if (!request.write(buffer.subarray(at, at + PIECE_BYTES))) await once(request, 'drain');
      }
    }
    request.end();
    const [response] = await answered;
    let bytes = 0;
    let said = '';
    const isExpected = response.statusCode === expected;
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (!isExpected) said += chunk.toString().slice(0, 500);
    });
    await once(response, 'end');
    if (!isExpected) throw new Error(`${method} ${path}: ${response.statusCode}, not ${expected}: ${said}`);
    return { status: response.statusCode ?? 0, location: response.headers.location, bytes };
  }

  /** Of large bodies, whose bytes are counted only. @throws Error unless it answers with 200 */
  download(path: string): Promise<number> {
    return this.downloads.bytesOf(path);
  }

  close(): void {
    this.agent.destroy();
    this.downloads.close();
  }
}
