/** The client's end of an exec session: a connection of its own, in frames (lib/http/exec). */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { AppError } from '../errors/index.js';
import { decodeFrames, encodeFrame, EXEC_PROTOCOL, FrameType } from '../http/exec/index.js';
import { errorOf, type TransportOptions } from './transport.js';

export interface ExecCall {
  readonly command: readonly string[];
  /** The first essential one when absent. */
  readonly container?: string;
  /** A terminal of this size; none when absent. */
  readonly terminal?: { readonly rows: number; readonly columns: number };
  /** Ends the session, and with it the command. */
  readonly signal?: AbortSignal;
}

export interface RemoteExec {
  /** Resolves when there is room for more. */
  write(bytes: Uint8Array | string): Promise<void>;
  endInput(): void;
  resize(size: { readonly rows: number; readonly columns: number }): void;
  /** What the command writes, to its end. Read it once. @throws AppError EXEC_CUT when the connection breaks */
  readonly output: AsyncIterable<{ readonly stream: 'stdout' | 'stderr'; readonly bytes: Buffer }>;
  /** How it ended; known when `output` has ended. */
  result(): { readonly exitCode: number; readonly failure?: string } | undefined;
  close(): void;
}

/** @throws AppError with the server's code, or SERVER_UNREACHABLE */
export async function openExec(
  options: Pick<TransportOptions, 'url' | 'token'>,
  path: string,
  call: ExecCall,
): Promise<RemoteExec> {
  const url = new URL(options.url.replace(/\/+$/, '') + path);
  for (const word of call.command) url.searchParams.append('command', word);
  if (call.container !== undefined) url.searchParams.set('container', call.container);
  if (call.terminal !== undefined) {
    url.searchParams.set('rows', String(call.terminal.rows));
    url.searchParams.set('columns', String(call.terminal.columns));
  }
  const { socket, head } = await connect(url, options.token);
  socket.on('error', () => socket.destroy());
  if (head.length > 0) socket.unshift(head);
  call.signal?.addEventListener('abort', () => socket.destroy(), { once: true });
  if (call.signal?.aborted === true) socket.destroy();
  return session(socket);
}

function session(socket: Duplex): RemoteExec {
  let result: ReturnType<RemoteExec['result']>;
  const send = (frame: Buffer): boolean => !socket.destroyed && socket.writable && socket.write(frame);
  return {
    write: (bytes) =>
      new Promise((resolve) => {
        if (send(encodeFrame(FrameType.stdin, bytes)) || socket.destroyed) return resolve();
        const done = (): void => {
          socket.removeListener('drain', done);
          socket.removeListener('close', done);
          resolve();
        };
        socket.on('drain', done);
        socket.on('close', done);
      }),
    endInput: () => void send(encodeFrame(FrameType.stdinEnd)),
    resize: (size) => void send(encodeFrame(FrameType.resize, JSON.stringify(size))),
    result: () => result,
    close: () => void socket.destroy(),
    output: (async function* () {
      try {
        for await (const { type, content } of decodeFrames(socket)) {
          if (type === FrameType.stdout) yield { stream: 'stdout' as const, bytes: content };
          if (type === FrameType.stderr) yield { stream: 'stderr' as const, bytes: content };
          if (type !== FrameType.end) continue;
          result = JSON.parse(content.toString('utf8')) as NonNullable<typeof result>;
          return;
        }
      } catch (error) {
        throw cut(error);
      } finally {
        socket.destroy();
      }
      throw cut(undefined);
    })(),
  };
}

function cut(cause: unknown): AppError {
  return new AppError('EXEC_CUT', 'the connection ended before the command did', {
    kind: 'unavailable',
    ...(cause === undefined ? {} : { cause }),
  });
}

function connect(url: URL, token: string): Promise<{ socket: Duplex; head: Buffer }> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, connection: 'Upgrade', upgrade: EXEC_PROTOCOL };
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, { method: 'POST', headers });
    request.once('upgrade', (_: IncomingMessage, socket: Duplex, head: Buffer) => resolve({ socket, head }));
    request.once('response', (response) => {
      void refusal(response).then(reject, reject);
    });
    request.once('error', (error) => {
      reject(
        new AppError('SERVER_UNREACHABLE', `${url.origin} does not answer: ${error.message}`, {
          kind: 'unavailable',
          hint: 'is it running? wharf up starts it; WHARF_URL or --url says where it is',
          cause: error,
        }),
      );
    });
    request.end();
  });
}

async function refusal(response: IncomingMessage): Promise<AppError> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return errorOf({ status: response.statusCode ?? 500 }, Buffer.concat(chunks).toString('utf8'));
}
