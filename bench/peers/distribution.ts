/** CNCF distribution, as Debian's `docker-registry` package has it, on a folder. No TLS, no authentication. */
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Server } from '../process.js';
import type { Session } from '../session.js';

export const DISTRIBUTION = 'docker-registry';

export class DistributionServer {
  private running: Server | undefined;

  private constructor(
    private readonly folder: string,
    readonly port: number,
    /** What to put before the command, as to enter a network namespace. */
    private readonly prefix: readonly string[],
  ) {}

  static async create(
    session: Session,
    options: { readonly port?: number; readonly prefix?: readonly string[] } = {},
  ): Promise<DistributionServer> {
    const { port = await freePort(), prefix = [] } = options;
    const made = new DistributionServer(await session.directory('distribution'), port, prefix);
    session.defer(() => made.stop());
    return made;
  }

  /** @param waits false: the caller finds out by itself when it answers */
  async start(waits = true): Promise<void> {
    const config = {
      version: 0.1,
      log: { level: 'error', accesslog: { disabled: true } },
      storage: {
        filesystem: { rootdirectory: join(this.folder, 'data') },
        delete: { enabled: true },
        cache: { blobdescriptor: 'inmemory' },
      },
      http: { addr: `127.0.0.1:${this.port}`, secret: 'benchmark' },
    };
    // JSON is YAML.
    const file = join(this.folder, 'config.yml');
    await writeFile(file, JSON.stringify(config));
    const command = [...this.prefix, DISTRIBUTION, 'serve', file];
    this.running = await Server.start(command, join(this.folder, 'log'), { env: { OTEL_TRACES_EXPORTER: 'none' } });
    if (waits) await this.running.ready(async () => (await fetch(`${this.url}/v2/`)).ok);
  }

  async stop(): Promise<void> {
    const { running } = this;
    this.running = undefined;
    await running?.stop();
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get server(): Server {
    if (this.running === undefined) throw new Error('docker-registry is not running');
    return this.running;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return typeof address === 'object' && address !== null ? address.port : 0;
}
