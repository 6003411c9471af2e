/** Hands a DNS query on to the host's resolvers as it came, one after the other, and gives the first answer. */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';

export interface NameServerAddress {
  readonly address: string;
  readonly port: number;
}

/** How long one resolver may take before the next is asked. */
const PATIENCE_MS = 2500;

/** @returns undefined when none of them answers */
export async function forward(
  query: Buffer,
  servers: readonly NameServerAddress[],
  transport: 'udp' | 'tcp',
): Promise<Buffer | undefined> {
  const ask = transport === 'udp' ? askByUdp : askByTcp;
  for (const server of servers) {
    const answer = await ask(query, server);
    if (answer !== undefined) return answer;
  }
  return undefined;
}

function askByUdp(query: Buffer, { address, port }: NameServerAddress): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    // A port of its own for each query, and connected: nobody else's packet is taken for the answer.
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const end = (answer?: Buffer): void => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on('error', () => undefined);
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(end, PATIENCE_MS);
    socket.once('error', () => end());
    socket.on('message', (answer) => {
      if (answer.length > 2 && answer.readUInt16BE(0) === query.readUInt16BE(0)) end(answer);
    });
    socket.connect(port, address, () => socket.send(query));
  });
}

/** Both ways a message has its length before it (RFC 1035, section 4.2.2). */
function askByTcp(query: Buffer, { address, port }: NameServerAddress): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    let received = Buffer.alloc(0);
    const end = (answer?: Buffer): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(PATIENCE_MS, () => end());
    socket.once('error', () => end());
    socket.once('close', () => end());
    socket.once('connect', () => socket.write(framed(query)));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      const [message] = unframed(received);
      if (message !== undefined) end(message);
    });
  });
}

export function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

/** The first whole message, if there is one, and what follows it. */
export function unframed(bytes: Buffer): readonly [message: Buffer | undefined, rest: Buffer] {
  const length = bytes.length < 2 ? Infinity : bytes.readUInt16BE(0);
  if (bytes.length < 2 + length) return [undefined, bytes];
  return [bytes.subarray(2, 2 + length), bytes.subarray(2 + length)];
}
