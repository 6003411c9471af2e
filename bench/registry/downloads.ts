/**
 * The load's downloads: kept-alive connections whose bytes all land in one piece of memory and are counted there. Through
 * node:http, with new memory for each 64 KiB, the client takes twice the processor time of any server, and its one thread
 * is what a pull then measures.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { readMemory } from '../../lib/store/folder/read-memory-fs.js';

const HEAD_END = '\r\n\r\n';
const MEMORY_BYTES = 256 * 1024;

export class Downloads {
  private readonly idle: Connection[] = [];
  private readonly all: Connection[] = [];
  private readonly memory = readMemory(MEMORY_BYTES);

  constructor(
    private readonly base: URL,
    private readonly authorization: string | undefined,
  ) {}

  /** How many bytes the body has. @throws Error unless it is a whole 200 */
  async bytesOf(path: string): Promise<number> {
    const connection = this.idle.pop() ?? (await this.opened());
    const { host } = this.base;
    const authorization = this.authorization === undefined ? '' : `Authorization: ${this.authorization}\r\n`;
    const bytes = await connection.get(path, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${authorization}\r\n`);
    this.idle.push(connection);
    return bytes;
  }

  close(): void {
    for (const connection of this.all) connection.close();
  }

  private async opened(): Promise<Connection> {
    const connection = new Connection(this.base, this.memory);
    this.all.push(connection);
    await connection.open();
    return connection;
  }
}

/** One answer at a time. */
class Connection {
  private readonly socket: Socket;
  private path = '';
  private head = '';
  /** Bytes of the body; undefined until its head was read. */
  private length: number | undefined;
  private left = 0;
  private resolve: (bytes: number) => void = () => {};
  private reject: (error: Error) => void = () => {};

  constructor(base: URL, buffer: Buffer) {
    const callback = (bytes: number): boolean => {
      this.take(buffer.subarray(0, bytes));
      return true;
    };
    this.socket = connect({ host: base.hostname, port: Number(base.port), onread: { buffer, callback } });
    this.socket.on('error', (error) => this.reject(error));
    this.socket.on('close', () => this.reject(new Error(`GET ${this.path}: the connection ended early`)));
  }

  async open(): Promise<void> {
    await once(this.socket, 'connect');
  }

  get(path: string, request: string): Promise<number> {
    [this.path, this.head, this.length] = [path, '', undefined];
    return new Promise((resolve, reject) => {
      [this.resolve, this.reject] = [resolve, reject];
      this.socket.write(request);
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private take(bytes: Buffer): void {
    const ofBody = this.length === undefined ? this.takeHead(bytes) : bytes.length;
    this.left -= ofBody;
    if (this.length !== undefined && this.left === 0) this.resolve(this.length);
  }

  /** How many of the bytes are of the body. */
  private takeHead(bytes: Buffer): number {
    const before = this.head.length;
    this.head += bytes.toString('latin1');
    const end = this.head.indexOf(HEAD_END);
    if (end < 0) return 0;
    const head = this.head.slice(0, end);
    const length = /^content-length: *(\d+)$/im.exec(head)?.[1];
    if (!head.startsWith('HTTP/1.1 200 ') || length === undefined) {
      this.reject(new Error(`GET ${this.path}: ${this.head.slice(0, 500)}`));
      return 0;
    }
    this.length = this.left = Number(length);
    return before + bytes.length - end - HEAD_END.length;
  }
}
