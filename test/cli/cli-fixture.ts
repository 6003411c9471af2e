/** The command line against a real server; what it prints is kept. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CliDeps, runCli, streamOutput } from '../../lib/cli/index.js';
import { type RunningServer, serve } from '../../lib/http/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { silentLogger } from '../../lib/store/index.js';
import { type ApiFixture, createApiFixture } from '../http/api-fixture.js';

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliFixture {
  readonly api: ApiFixture;
  readonly url: string;
  /** An empty folder that the command runs in. */
  readonly folder: string;
  readonly run: (args: readonly string[], change?: Partial<CliDeps>) => Promise<Ran>;
  readonly close: () => Promise<void>;
}

/** In whose folder there is `app`, with a Dockerfile. */
export async function createAppFixture(): Promise<CliFixture> {
  const cli = await createCliFixture();
  await mkdir(join(cli.folder, 'app'));
  await writeFile(join(cli.folder, 'app', 'Dockerfile'), 'FROM scratch\n');
  return cli;
}

export async function createCliFixture(): Promise<CliFixture> {
  const api = await createApiFixture();
  const server: RunningServer = await serve({
    listen: { host: '127.0.0.1', port: 0 },
    api: api.app,
    registry: { fetch: () => new Response(null, { status: 404 }) },
    logger: silentLogger,
    closeMs: 100,
  });
  const folder = await mkdtemp(join(tmpdir(), 'wharf-cli-'));
  return {
    api,
    url: server.url,
    folder,
    async run(args, change = {}) {
      const written = { stdout: '', stderr: '' };
      const env = { WHARF_URL: server.url, WHARF_TOKEN: api.tokens.admin, NO_COLOR: '1', ...change.env };
      const code = await runCli(args, {
        cwd: folder,
        output: streamOutput(
          { write: (text) => (written.stdout += text) },
          { write: (text) => (written.stderr += text) },
          env,
        ),
        clock: systemClock,
        interrupted: new AbortController().signal,
        version: '0.0.0',
        startEmbedded: () => Promise.reject(new Error('not in this test')),
        startEngine: () => Promise.reject(new Error('not in this test')),
        takeDown: () => Promise.reject(new Error('not in this test')),
        ...change,
        env,
      });
      return { code, ...written };
    },
    async close() {
      await server.close();
      await api.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
