/** A web server on loopback that hands out files and git repositories, and remembers what it was asked. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';

export interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** Answers 304 when the client has this one. */
  readonly etag?: string;
}

export interface WebServer {
  readonly port: number;
  readonly url: string;
  /** `METHOD path`, with ` (auth)` when credentials were sent. */
  readonly requests: string[];
  readonly authorizations: string[];
  readonly files: Map<string, Answer | ((request: IncomingMessage) => Answer)>;
  /** From now on a path gets no answer; its requests are kept. Without a list it is answered again. */
  stall(path: string, kept: ServerResponse[] | undefined): void;
  close(): Promise<void>;
}

/** @param repositories folder whose repositories are served below /git/ */
export async function startWebServer(repositories?: string): Promise<WebServer> {
  const requests: string[] = [];
  const authorizations: string[] = [];
  const files: WebServer['files'] = new Map();
  const stalled = new Map<string, ServerResponse[]>();
  const server = createServer((request, response) => {
    const { authorization } = request.headers;
    requests.push(`${request.method ?? ''} ${request.url ?? ''}${authorization === undefined ? '' : ' (auth)'}`);
    if (authorization !== undefined) authorizations.push(authorization);
    const path = (request.url ?? '').replace(/\?.*$/, '');
    const kept = stalled.get(path);
    if (kept !== undefined) return void kept.push(response);
    const found = files.get(path);
    if (found === undefined && repositories !== undefined && path.startsWith('/git/')) {
      return runBackend(repositories, request, response);
    }
    answer(request, response, typeof found === 'function' ? found(request) : (found ?? { status: 404 }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    requests,
    authorizations,
    files,
    stall: (path, kept) => {
      if (kept === undefined) stalled.delete(path);
      else stalled.set(path, kept);
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function answer(request: IncomingMessage, response: ServerResponse, { status, headers, body, etag }: Answer): void {
  const same = etag !== undefined && request.headers['if-none-match'] === etag;
  response.writeHead(same ? 304 : (status ?? 200), { ...headers, ...(etag === undefined ? {} : { etag }) });
  response.end(same ? undefined : body);
}

/** git http-backend, as a web server would run it (CGI). */
function runBackend(repositories: string, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '', 'http://x');
  const backend = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env['PATH'] ?? '',
      GIT_PROJECT_ROOT: repositories,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'safe.directory',
      GIT_CONFIG_VALUE_0: '*',
      PATH_INFO: url.pathname.replace(/^\/git/, ''),
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method ?? '',
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  backend.stdin.on('error', () => undefined);
  request.pipe(backend.stdin);
  const chunks: Buffer[] = [];
  backend.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  backend.once('close', () => {
    const all = Buffer.concat(chunks);
    const end = all.indexOf('\r\n\r\n');
    const lines = all.subarray(0, end).toString().split('\r\n');
    const fields = lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)] as const);
    const status = Number(fields.find(([name]) => name === 'Status')?.[1].slice(0, 3) ?? 200);
    response.writeHead(status, Object.fromEntries(fields.filter(([name]) => name !== 'Status' && name !== '')));
    response.end(all.subarray(end + 4));
  });
}

/** 2020-09-13T12:26:40Z, of every commit. */
export const COMMIT_TIME = 1_600_000_000;

/** Runs git as somebody with nothing but a name. */
export function git(directory: string, ...args: readonly string[]): string {
  return execFileSync('git', args, {
    cwd: directory,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: directory,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_AUTHOR_NAME: 'a',
      GIT_AUTHOR_EMAIL: 'a@example.com',
      GIT_COMMITTER_NAME: 'a',
      GIT_COMMITTER_EMAIL: 'a@example.com',
      GIT_AUTHOR_DATE: `${COMMIT_TIME} +0000`,
      GIT_COMMITTER_DATE: `${COMMIT_TIME} +0000`,
    },
  }).trim();
}

/** Writes files and commits them. @returns the commit */
export async function commit(directory: string, files: Readonly<Record<string, string>>): Promise<string> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await writeFile(join(directory, name), content);
  }
  git(directory, 'add', '-A');
  git(directory, 'commit', '-q', '-m', 'change');
  return git(directory, 'rev-parse', 'HEAD');
}
