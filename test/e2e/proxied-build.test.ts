/** A real curl in a real RUN over HTTPS, through the builder's proxy: nothing but the sandbox tells it whom to trust. */
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Authority } from '../../lib/build/proxy/authority.js';
import { requireTools } from '../host-tools.js';
import { PlatformProcess, runCommand } from './platform-process.js';

/** Not among those that a command reaches without the proxy. */
const HOST = '127.0.0.2';
const FILE = randomBytes(300_000);

requireTools('root', 'runc', 'bridge', 'nsenter', 'busybox', 'curl').describe('RUN behind the proxy', () => {
  let folder: string;
  let web: Server;
  let url: string;
  let platform: PlatformProcess;
  const trustedBefore = process.env['NODE_EXTRA_CA_CERTS'];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'wharf-proxied-'));
    const authority = await Authority.create(Date.now());
    web = createServer(authority.serverCertificate(HOST), (request, response) => {
      if (request.method === 'POST') request.pipe(response);
      else response.end(FILE);
    });
    await new Promise<void>((resolve) => web.listen(0, HOST, resolve));
    url = `https://${HOST}:${(web.address() as AddressInfo).port}`;
    writeFileSync(join(folder, 'ca.pem'), authority.certificate);
    platform = await PlatformProcess.create();
    // As an operator has it whose servers have certificates of their own.
    process.env['NODE_EXTRA_CA_CERTS'] = join(folder, 'ca.pem');
    // And who keeps what is made here to themselves: a RUN has docker's mask whatever this one is.
    const mask = process.umask(0o077);
    const started = platform.start('--proxy-network', '--fetch-from', `${HOST}/32`);
    process.umask(mask);
    await started;
    const pushed = await runCommand(process.execPath, ['--import', 'tsx', 'scripts/base-image.ts', platform.data]);
    expect(pushed).toMatchObject({ exitCode: 0 });
    copyProgram('/usr/bin/curl', join(folder, 'app/root'));
    const bundle = join(folder, 'app/root/etc/ssl/certs/ca-certificates.crt');
    mkdirSync(dirname(bundle), { recursive: true });
    // Of nobody that is asked here.
    writeFileSync(bundle, (await Authority.create(Date.now())).certificate);
  }, 90_000);
  afterAll(async () => {
    if (trustedBefore === undefined) delete process.env['NODE_EXTRA_CA_CERTS'];
    else process.env['NODE_EXTRA_CA_CERTS'] = trustedBefore;
    web.closeAllConnections();
    await new Promise((resolve) => web.close(resolve));
    rmSync(folder, { recursive: true, force: true });
    expect(await platform.remove()).toEqual([]);
  }, 60_000);

  test('curl fetches over HTTPS, sends what it must, and is refused what it may not have', async () => {
    const sha256 = createHash('sha256').update(FILE).digest('hex');
    const lines = [
      'FROM busybox:1',
      'COPY root /',
      `RUN curl -sSf ${url}/one -o /one -H "User-Agent: x" ${url}/two -o /two && cmp /one /two && sha256sum /one`,
      // Asks beforehand whether it may. The bundle is gone, as when a package makes it anew.
      `RUN rm /etc/ssl/certs/ca-certificates.crt && curl -sSf --data-binary @/one -H "Expect: 100-continue" ${url}/echo | cmp - /one`,
      'USER 1000',
      'RUN [ "$(umask)" = 0022 ] && touch /tmp/own && stat -c %a /tmp/own',
      `RUN ! curl -sSf https://127.0.0.3:1/ && ! curl -sS --noproxy "*" ${url}/one`,
    ];
    writeFileSync(join(folder, 'app/Dockerfile'), lines.join('\n'));
    const { stdout, stderr } = await platform.must('build', join(folder, 'app'), '-t', 'app', '--progress', 'plain');
    const said = stdout + stderr;
    expect(said).toContain(`${sha256}  /one`);
    for (const request of [`GET ${url}/one -> 200`, `GET ${url}/two -> 200`, `POST ${url}/echo -> 200`]) {
      expect(said).toContain(`- ${request}`);
    }
    expect(said).toMatch(/^#\d+ [\d.]+ 644$/m);
    expect(said).toContain('- GET https://127.0.0.3:1/ -> 403: https://127.0.0.3:1: builds do not fetch from');
  }, 60_000);
});

/** With the libraries that it needs. */
function copyProgram(path: string, root: string): void {
  const libraries = [
    ...execFileSync('ldd', [path])
      .toString()
      .matchAll(/(\/\S+) \(0x/g),
  ].map(([, name = '']) => name);
  for (const each of [path, ...libraries]) {
    // The base has bin/ for usr/bin/.
    const name = join(root, each.replace(/^\/usr\/bin\//, '/bin/'));
    mkdirSync(dirname(name), { recursive: true });
    cpSync(each, name, { dereference: true });
  }
}
