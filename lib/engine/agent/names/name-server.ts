/**
 * The resolver of the platform's containers: services of the asker's own cluster by name, everything else as the host
 * resolves it. Who asks is told by the address it asks from, so no other cluster's services are seen. While it answers
 * it gives a sign of life; without one the packet rules ask the host's resolver in its place (lib/runtime/link-local).
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { RESOLVER_PORT } from '../../../runtime/index.js';
import type { Clock, Logger } from '../../../store/index.js';
import type { NameLookUp } from '../types.js';
import { answerMessage, failureMessage, parseQuestion, type Question } from './dns-message.js';
import { forward, framed, type NameServerAddress, unframed } from './forwarder.js';
import { aliasAnswers, serviceAnswers } from './service-answers.js';

export interface NameServerDeps {
  /** Of the task that has the address; undefined for what belongs to no task. */
  readonly clusterAt: (address: string) => string | undefined;
  /** Absent until the scheduler is there. */
  readonly lookUp: () => NameLookUp | undefined;
  readonly lookUpAlias: () => NameLookUp | undefined;
  /** Asked anew for every query that is handed on. */
  readonly upstreams: () => Promise<readonly NameServerAddress[]>;
  /** Called now and then while names are answered, and with false at the end. */
  readonly sign: (answers: boolean) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}

const SIGN_MS = 2000;
const LISTEN_AGAIN_MS = 1000;
/** Tasks come and go. */
const TTL_SECONDS = 5;
const PARALLEL = 512;
const CONNECTIONS = 64;
const IDLE_MS = 10_000;

export class NameServer {
  private readonly closing = new AbortController();
  private readonly udp: UdpSocket;
  private readonly tcp: Server;
  private readonly connections = new Set<Socket>();
  private running = 0;
  private turn = 0;
  private isBound = false;
  private listening: Promise<void> | undefined;
  private closed: Promise<void> | undefined;

  /** @param address to listen on, UDP and TCP */
  constructor(
    private readonly deps: NameServerDeps,
    private readonly address: string,
  ) {
    this.udp = createSocket('udp4');
    this.udp.on('message', (query, from) => {
      void this.answer(query, from.address, 'udp').then((answer) => {
        if (answer !== undefined && !this.closing.signal.aborted) this.udp.send(answer, from.port, from.address);
      });
    });
    this.tcp = createServer((socket) => this.converse(socket));
    this.tcp.maxConnections = CONNECTIONS;
  }

  /** Listens and gives signs of life until it is closed. */
  listen(): void {
    this.listening ??= this.run();
  }

  /** A sign of life at once: the list it goes into is made with the first container's network. */
  async announce(): Promise<void> {
    if (this.isBound && !this.closing.signal.aborted) await this.deps.sign(true);
  }

  /** May be called again. */
  close(): Promise<void> {
    this.closed ??= this.end();
    return this.closed;
  }

  private async end(): Promise<void> {
    this.closing.abort();
    await this.listening;
    for (const socket of this.connections) socket.destroy();
    await new Promise<void>((resolve) => this.tcp.close(() => resolve()));
    await new Promise<void>((resolve) => this.udp.close(() => resolve()));
  }

  private async run(): Promise<void> {
    const { clock, logger, sign } = this.deps;
    const { signal } = this.closing;
    for (let told = false; !signal.aborted;) {
      const problem = await this.bind();
      if (problem === undefined) break;
      if (!told) logger.warn('the resolver of tasks cannot listen yet', { at: this.address, problem });
      told = true;
      await clock.sleep(LISTEN_AGAIN_MS, signal).catch(() => undefined);
    }
    this.isBound = true;
    while (!signal.aborted) {
      await sign(true);
      await clock.sleep(SIGN_MS, signal).catch(() => undefined);
    }
    await sign(false);
  }

  /** Both or neither. @returns what is in the way */
  private async bind(): Promise<string | undefined> {
    const tcpProblem = await new Promise<string | undefined>((resolve) => {
      this.tcp.once('error', (error) => resolve(error.message));
      this.tcp.listen(RESOLVER_PORT, this.address, () => resolve(undefined));
    });
    if (tcpProblem !== undefined) return tcpProblem;
    const problem = await new Promise<string | undefined>((resolve) => {
      this.udp.once('error', (error) => resolve(error.message));
      this.udp.bind(RESOLVER_PORT, this.address, () => resolve(undefined));
    });
    if (problem !== undefined) {
      await new Promise((resolve) => this.tcp.close(resolve));
      return problem;
    }
    for (const socket of [this.udp, this.tcp]) {
      socket.on('error', (error: Error) => this.deps.logger.warn('the resolver of tasks', { error: error.message }));
    }
    return undefined;
  }

  private converse(socket: Socket): void {
    this.connections.add(socket);
    let pending = Buffer.alloc(0);
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on('error', () => undefined);
    socket.once('close', () => this.connections.delete(socket));
    socket.on('data', (chunk) => {
      pending = Buffer.concat([pending, chunk]);
      for (let [query, rest] = unframed(pending); query !== undefined; [query, rest] = unframed(pending)) {
        pending = Buffer.from(rest);
        void this.answer(query, socket.remoteAddress ?? '', 'tcp').then((answer) => {
          if (answer !== undefined && socket.writable) socket.write(framed(answer));
        });
      }
    });
  }

  /** @returns undefined for what is no question; it gets no answer */
  private async answer(query: Buffer, from: string, transport: 'udp' | 'tcp'): Promise<Buffer | undefined> {
    const question = parseQuestion(query);
    if (question === undefined || this.running >= PARALLEL) return undefined;
    this.running += 1;
    try {
      const own = await this.ownAnswer(query, question, from, transport);
      if (own !== undefined) return own;
      const upstreams = await this.deps.upstreams();
      return (await forward(query, upstreams, transport)) ?? failureMessage(query, question);
    } catch (error) {
      this.deps.logger.error('a name could not be answered', { name: question.name, error: String(error) });
      return failureMessage(query, question);
    } finally {
      this.running -= 1;
    }
  }

  /** @returns undefined when no service of the asker's cluster is meant */
  private async ownAnswer(
    query: Buffer,
    question: Question,
    from: string,
    transport: 'udp' | 'tcp',
  ): Promise<Buffer | undefined> {
    const lookUp = this.deps.lookUp();
    const cluster = this.deps.clusterAt(from);
    if (lookUp === undefined || cluster === undefined) return undefined;
    const answers =
      (await serviceAnswers(question, cluster, lookUp)) ??
      (await aliasAnswers(question, cluster, this.deps.lookUpAlias() ?? (async () => undefined)));
    if (answers === undefined) return undefined;
    // Everyone has a turn to stand first.
    const first = answers.length === 0 ? 0 : (this.turn += 1) % answers.length;
    const turned = [...answers.slice(first), ...answers.slice(0, first)];
    return answerMessage(query, question, turned, { ttlSeconds: TTL_SECONDS, udp: transport === 'udp' });
  }
}
