/** Wharf as a user runs it: `wharf up` in a process of its own, with a fresh data folder. */
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { Server } from '../process.js';
import type { Session } from '../session.js';

export const WHARF = resolve(import.meta.dirname, '../../bin/wharf.cjs');

export interface WharfAddress {
  readonly url: string;
  readonly registry: string;
  readonly token: string;
}

export class WharfServer {
  private running: { readonly server: Server; readonly address: WharfAddress } | undefined;

  /** Its data folder. */
  readonly data: string;

  private constructor(private readonly folder: string) {
    this.data = join(folder, 'data');
  }

  /** The server of a fresh folder; not started yet. */
  static async create(session: Session): Promise<WharfServer> {
    const made = new WharfServer(await session.directory('wharf'));
    session.defer(() => made.stop());
    return made;
  }

  async start(): Promise<void> {
    const command = [process.execPath, ...profiling(), WHARF, 'up', '--listen', '127.0.0.1:0', '--json'];
    const server = await Server.start([...command, '--data', this.data], join(this.folder, 'log'), { reads: true });
    const stdout = server.process.stdout;
    if (stdout === null) throw new Error('wharf up has no stdout');
    const lines = createInterface({ input: stdout });
    let address: WharfAddress | undefined;
    void once(lines, 'line').then(([line]) => (address = JSON.parse(String(line)) as WharfAddress));
    await server.ready(() => Promise.resolve(address !== undefined));
    if (address !== undefined) this.running = { server, address };
  }

  async stop(): Promise<void> {
    const { running } = this;
    this.running = undefined;
    await running?.server.stop();
  }

  get address(): WharfAddress {
    return this.now.address;
  }

  get server(): Server {
    return this.now.server;
  }

  private get now(): { readonly server: Server; readonly address: WharfAddress } {
    if (this.running === undefined) throw new Error('wharf is not running');
    return this.running;
  }
}

/** With WHARF_BENCH_PROFILE=folder the server leaves a CPU profile there. */
function profiling(): readonly string[] {
  const folder = process.env['WHARF_BENCH_PROFILE'];
  return folder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${folder}`];
}
