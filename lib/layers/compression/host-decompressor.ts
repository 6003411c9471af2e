/** bzip2 and xz are read by the host's own programs, which old archives given to ADD may need. */
import { spawn } from 'node:child_process';
import { AppError, errnoCode, startedProcess } from '../../errors/index.js';
import type { ByteSource } from '../../store/index.js';
import { writeInto } from '../byte-stream.js';

/** @throws AppError COMPRESSION_UNSUPPORTED when the program is not installed, COMPRESSION_INVALID when it refuses */
export async function* hostDecompress(source: ByteSource, program: 'bzip2' | 'xz'): ByteSource {
  const child = startedProcess(spawn(program, ['-dc'], { stdio: ['pipe', 'pipe', 'pipe'] }));
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    if (complaint.length < 500) complaint += chunk.toString();
  });
  const exit = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const fed = writeInto(child.stdin, source);
  fed.catch(() => child.kill('SIGKILL'));
  exit.catch(() => {});
  let ended = false;
  try {
    yield* child.stdout as AsyncIterable<Uint8Array>;
    const status = await exit;
    await fed;
    ended = true;
    if (status !== 0)
      throw new AppError('COMPRESSION_INVALID', `${program}: ${complaint.trim() || `exit status ${status}`}`);
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error;
    throw new AppError(
      'COMPRESSION_UNSUPPORTED',
      `this is ${program}, and the program ${program} is not installed here`,
      {
        kind: 'unsupported',
        hint: `gzip, zstd or no compression; or install ${program}`,
        cause: error,
      },
    );
  } finally {
    if (!ended) child.kill('SIGKILL');
  }
}
