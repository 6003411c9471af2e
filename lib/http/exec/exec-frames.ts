/**
 * What goes over the connection of an exec session once it was upgraded to `wharf-exec`: frames of one byte that says
 * what it is, four bytes of length (big-endian), and the content. Client and server both stand on this.
 */
import { AppError } from '../../errors/index.js';

export const EXEC_PROTOCOL = 'wharf-exec';

/** Both ways; which of them a side sends is said beside. */
export const FrameType = {
  /** Server: what the command wrote. */
  stdout: 0,
  stderr: 1,
  /** Server, the last frame: JSON `{ exitCode, failure? }`. */
  end: 2,
  /** Client: what the command reads. */
  stdin: 16,
  /** Client: nothing more to read. */
  stdinEnd: 17,
  /** Client: JSON `{ rows, columns }`. */
  resize: 18,
} as const;

export interface Frame {
  readonly type: number;
  readonly content: Buffer;
}

const HEADER_BYTES = 5;
export const MAX_FRAME_BYTES = 1024 * 1024;

export function encodeFrame(type: number, content: Uint8Array | string = ''): Buffer {
  const bytes = Buffer.from(content);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(type, 0);
  header.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([header, bytes]);
}

/** The frames in a stream of bytes, however it was cut. @throws AppError FRAME_TOO_LARGE */
export async function* decodeFrames(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Frame> {
  let rest = Buffer.alloc(0);
  for await (const chunk of chunks) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= HEADER_BYTES) {
      const length = rest.readUInt32BE(1);
      if (length > MAX_FRAME_BYTES) {
        throw new AppError('FRAME_TOO_LARGE', `a frame of ${length} bytes`, { hint: `at most ${MAX_FRAME_BYTES}` });
      }
      if (rest.length < HEADER_BYTES + length) break;
      yield { type: rest.readUInt8(0), content: rest.subarray(HEADER_BYTES, HEADER_BYTES + length) };
      rest = rest.subarray(HEADER_BYTES + length);
    }
  }
}
