/** Fetches of repositories that end before their time: git, and what git starts, ends with them, and no folder stays. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, readdir, readlink, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { sweepWorkFolders } from '../../lib/build/index.js';
import { requireTools } from '../host-tools.js';
import { buildFixture, type BuildFixture, failure } from './fixture.js';

const COMMIT = '1'.repeat(40);

let place: string;
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'wharf-test-'));
});
afterEach(() => rm(place, { recursive: true, force: true }));

/** Whose working directory is below the place. */
async function processesIn(folder: string): Promise<readonly string[]> {
  const numbers = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const folders = await Promise.all(numbers.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')));
  return folders.filter((cwd) => cwd.startsWith(`${folder}/`));
}

const line = (text: string): string => `${(text.length + 4).toString(16).padStart(4, '0')}${text}`;

/** Names a branch, and then never answers what is asked about it. */
async function startStalling(onAsked: () => void): Promise<Server> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET') {
      request.resume().on('end', onAsked);
      return;
    }
    const capabilities = 'symref=HEAD:refs/heads/main allow-reachable-sha1-in-want';
    const lines = [
      '# service=git-upload-pack\n',
      '',
      `${COMMIT} HEAD\0${capabilities}\n`,
      `${COMMIT} refs/heads/main\n`,
      '',
    ];
    response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-advertisement' });
    response.end(lines.map((each) => (each === '' ? '0000' : line(each))).join(''));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

requireTools('git', 'prlimit').describe('a fetch', () => {
  let f: BuildFixture;
  beforeEach(async () => {
    f = await buildFixture({ fetching: { workPlace: place, egress: { allow: ['127.0.0.0/8'] } } });
  });
  afterEach(() => f.close());

  test('that a server keeps waiting ends at once when its build is cancelled, with all that git started', async () => {
    const cancelled = new AbortController();
    const during: string[] = [];
    const server = await startStalling(() => {
      void processesIn(place).then((found) => {
        during.push(...found);
        cancelled.abort(new Error('cancelled'));
      });
    });
    try {
      const { port } = server.address() as AddressInfo;
      const context = await f.context({ Dockerfile: `FROM scratch\nADD http://127.0.0.1:${port}/a.git /\n` });
      const call = { id: f.store.ids.ulid(), emit: () => undefined, signal: cancelled.signal };
      const error = await failure(f.builder.build({ context, tags: [] }, call));
      expect(error.message).toContain('cancelled');
      // git, and what speaks http for it.
      expect(during.length).toBeGreaterThan(1);
      expect(await processesIn(place)).toEqual([]);
      expect(await readdir(place)).toEqual([]);
    } finally {
      server.closeAllConnections();
      server.close();
    }
    // Left to itself, git gives up a server that says nothing after 60 s.
  }, 30_000);
});

test('what a killed process left in the place is taken away, and nothing else', async () => {
  const left = join(place, 'wharf-git-AbCdEf', 'repository');
  const others = join(place, 'others');
  await mkdir(left, { recursive: true });
  await mkdir(others);
  const inside = spawn('sleep', ['1000000'], { cwd: left, stdio: 'ignore' });
  const outside = spawn('sleep', ['1000000'], { cwd: others, stdio: 'ignore' });
  const ended = once(inside, 'exit');
  try {
    await Promise.all([once(inside, 'spawn'), once(outside, 'spawn')]);
    await sweepWorkFolders(place);
    expect(await ended).toEqual([null, 'SIGKILL']);
    expect(await readdir(place)).toEqual(['others']);
    expect([outside.exitCode, outside.signalCode]).toEqual([null, null]);
  } finally {
    inside.kill('SIGKILL');
    outside.kill('SIGKILL');
  }
});

test('the place is made when there is none', async () => {
  await sweepWorkFolders(join(place, 'fetches'));
  await access(join(place, 'fetches'));
});
