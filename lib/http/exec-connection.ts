/** Joins an upgraded connection and a command that runs in a container, until either ends. */
import { once } from 'node:events';
import type { Duplex, Readable } from 'node:stream';
import * as z from 'zod';
import { toAppError } from '../errors/index.js';
import type { ExecSession } from '../runtime/index.js';
import type { Logger } from '../store/index.js';
import { decodeFrames, encodeFrame, FrameType } from './exec/index.js';

export const terminalSize = z.strictObject({
  rows: z.coerce.number().int().min(1).max(1000),
  columns: z.coerce.number().int().min(1).max(1000),
});

/** Never throws: whoever is on the other side is told, or gone. */
export async function joinExec(
  socket: Duplex,
  session: ExecSession,
  options: { readonly signal: AbortSignal; readonly logger: Logger },
): Promise<void> {
  const { signal, logger } = options;
  const hangUp = (): void => {
    void session.kill().catch((error: unknown) => logger.warn('a command could not be ended', { error }));
  };
  const close = (): void => void socket.destroy();
  socket.on('error', close);
  socket.once('close', hangUp);
  signal.addEventListener('abort', close, { once: true });
  if (signal.aborted) close();
  const reading = readInput(socket, session).catch((error: unknown) => {
    logger.debug('an exec connection was cut', { error: toAppError(error).message });
    close();
  });
  try {
    await Promise.all([send(socket, FrameType.stdout, session.stdout), send(socket, FrameType.stderr, session.stderr)]);
    const end = await session.ended;
    socket.removeListener('close', hangUp);
    if (!socket.destroyed) socket.end(encodeFrame(FrameType.end, JSON.stringify(end)));
  } catch (error) {
    logger.debug('an exec session broke', { error: toAppError(error).message });
    close();
  } finally {
    signal.removeEventListener('abort', close);
    await reading;
  }
}

async function send(socket: Duplex, type: number, output: Readable): Promise<void> {
  for await (const chunk of output) {
    // What is written when nobody listens any more is read and dropped.
    if (socket.destroyed) continue;
    if (!socket.write(encodeFrame(type, chunk as Buffer))) {
      const given = new AbortController();
      const { signal } = given;
      await Promise.race([once(socket, 'drain', { signal }), once(socket, 'close', { signal })]).finally(() =>
        given.abort(),
      );
    }
  }
}

async function readInput(socket: Duplex, session: ExecSession): Promise<void> {
  for await (const { type, content } of decodeFrames(socket)) {
    if (type === FrameType.stdinEnd) session.stdin.end();
    else if (type === FrameType.resize) await session.resize(terminalSize.parse(JSON.parse(content.toString('utf8'))));
    else if (type === FrameType.stdin && !session.stdin.destroyed && !session.stdin.write(content)) {
      await Promise.race([once(session.stdin, 'drain'), session.ended]);
    }
  }
}
