/**
 * The little of DNS (RFC 1035, RFC 2782) that answering for a service takes: reading a question, writing A and SRV
 * answers. What is asked of others is handed on as it came.
 */

export const RecordType = { A: 1, AAAA: 28, SRV: 33, ANY: 255 } as const;
/** Of answers that come by UDP; more are fetched by TCP. */
const UDP_BYTES = 512;
const HEADER_BYTES = 12;
const IN = 1;
const RESPONSE = 0x8000;
const AUTHORITATIVE = 0x0400;
const TRUNCATED = 0x0200;
const RECURSION_DESIRED = 0x0100;
const RECURSION_AVAILABLE = 0x0080;
const SERVER_FAILURE = 2;
/** A name that stands where the question's begins (compression, section 4.1.4). */
const QUESTION_NAME = Buffer.from([0xc0, HEADER_BYTES]);

export interface Question {
  /** Lower case, without the dot at the end. */
  readonly name: string;
  readonly type: number;
  /** Where the question ends in its message. */
  readonly end: number;
}

export type Answer =
  | { readonly type: 'A'; readonly address: string }
  | { readonly type: 'SRV'; readonly port: number; readonly target: string };

/** The question of a standard query; undefined for anything else, also for a name that does not end. */
export function parseQuestion(message: Buffer): Question | undefined {
  if (message.length < HEADER_BYTES + 5) return undefined;
  const flags = message.readUInt16BE(2);
  const isQuery = (flags & RESPONSE) === 0 && ((flags >> 11) & 0xf) === 0;
  if (!isQuery || message.readUInt16BE(4) !== 1) return undefined;
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    // Compression has no place in a query with one question.
    if (length > 63 || at + 1 + length >= message.length) return undefined;
    labels.push(message.toString('latin1', at + 1, at + 1 + length).toLowerCase());
    at += 1 + length;
  }
  if (at + 5 > message.length || message.readUInt16BE(at + 3) !== IN) return undefined;
  return { name: labels.join('.'), type: message.readUInt16BE(at + 1), end: at + 5 };
}

/** The answers to a query; no answer says that the name is there and has nothing of this type. */
export function answerMessage(
  query: Buffer,
  question: Question,
  answers: readonly Answer[],
  options: { readonly ttlSeconds: number; readonly udp: boolean },
): Buffer {
  const head = query.subarray(HEADER_BYTES, question.end);
  const records = answers.map((answer) => recordOf(answer, options.ttlSeconds));
  let length = HEADER_BYTES + head.length;
  const fitting = records.filter((record) => {
    length += record.length;
    return !options.udp || length <= UDP_BYTES;
  });
  const cut = fitting.length < records.length ? TRUNCATED : 0;
  return Buffer.concat([header(query, AUTHORITATIVE | cut, fitting.length), head, ...fitting]);
}

/** Says that nobody could be asked. */
export function failureMessage(query: Buffer, question: Question): Buffer {
  return Buffer.concat([header(query, SERVER_FAILURE, 0), query.subarray(HEADER_BYTES, question.end)]);
}

function header(query: Buffer, flags: number, answers: number): Buffer {
  const made = Buffer.alloc(HEADER_BYTES);
  made.writeUInt16BE(query.readUInt16BE(0), 0);
  const desired = query.readUInt16BE(2) & RECURSION_DESIRED;
  made.writeUInt16BE(RESPONSE | RECURSION_AVAILABLE | desired | flags, 2);
  made.writeUInt16BE(1, 4);
  made.writeUInt16BE(answers, 6);
  return made;
}

function recordOf(answer: Answer, ttlSeconds: number): Buffer {
  const data =
    answer.type === 'A'
      ? Buffer.from(answer.address.split('.').map(Number))
      : // Priority 0, weight 1: all alike.
        Buffer.concat([Buffer.from([0, 0, 0, 1, answer.port >> 8, answer.port & 0xff]), encodeName(answer.target)]);
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(RecordType[answer.type], 0);
  fixed.writeUInt16BE(IN, 2);
  fixed.writeUInt32BE(ttlSeconds, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([QUESTION_NAME, fixed, data]);
}

function encodeName(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.from(label, 'latin1'));
  return Buffer.concat([...labels.flatMap((label) => [Buffer.from([label.length]), label]), Buffer.from([0])]);
}
