/** No spelling of an address leads a build to where it must not go. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { EgressGuard } from '../../lib/build/index.js';
import { GuardedFetch } from '../../lib/build/fetch/guarded-fetch.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { buildFixture, type BuildFixture, failure } from './fixture.js';
import { startWebServer, type WebServer } from './remote-server.js';

const CLOSED = [
  '127.0.0.1 127.1 127.0.1 2130706433 0x7f000001 0x7f.1 0177.0.0.1 017700000001 127.0.0.1. 127.255.255.254 0 0.0.0.0',
  '10.0.0.1 10.255.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 169.254.170.2 0xa9fea9fe 2852039166',
  '100.64.0.1 100.100.100.200 192.0.0.192 198.18.0.1 224.0.0.1 255.255.255.255 240.0.0.1 168.63.129.16',
  '[::1] [::] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:169.254.169.254] [::127.0.0.1]',
  '[fe80::1] [fd00:ec2::254] [fc00::1] [ff02::1] [64:ff9b::7f00:1] [2002:7f00:1::] [2001:0:7f00:1::] [2001:db8::1]',
  '[::ffff:0:127.0.0.1] [fec0::1] [100::1] ①②⑦.⓪.⓪.①',
].flatMap((line) => line.split(' '));
const OPEN = '1.1.1.1 93.184.216.34 172.15.0.1 172.32.0.1 192.167.0.1 [2606:4700::1111] [2a00::1]'.split(' ');

describe('the egress guard', () => {
  const guard = new EgressGuard();

  test.each(CLOSED)('refuses %s', async (host) => {
    expect((await failure(guard.check(new URL(`http://${host}/`)))).code).toBe('BUILD_EGRESS_REFUSED');
  });

  test.each(OPEN)('lets %s through', async (host) => {
    expect((await guard.check(new URL(`https://${host}/`))).address).toBe(host.replace(/[[\]]/g, ''));
  });

  test('refuses a name when one of its addresses is closed', async () => {
    const mixed = new EgressGuard({}, async () => [
      { address: '1.1.1.1', family: 4 },
      { address: '10.0.0.1', family: 4 },
    ]);
    expect((await failure(mixed.check(new URL('http://mixed.example/')))).message).toContain('which is 10.0.0.1');
  });

  test('refuses localhost, which the machine resolves itself', async () => {
    expect((await failure(guard.check(new URL('http://localhost/')))).code).toBe('BUILD_EGRESS_REFUSED');
  });

  test('opens the ranges an operator names, and no other', () => {
    const opened = new EgressGuard({ allow: ['10.1.0.0/16', 'fd00:1::/32'] });
    const verdicts = ['10.1.2.3', '10.2.0.1', '::ffff:10.1.0.1', 'fd00:1::5', 'fd00:2::5', '127.0.0.1'];
    expect(verdicts.map((address) => opened.isAllowed(address))).toEqual([true, false, true, true, false, false]);
    expect(() => new EgressGuard({ allow: ['10.0.0.0'] })).toThrow(/is no range/);
  });
});

describe('fetching under guard', () => {
  let web: WebServer;
  let f: BuildFixture;
  beforeAll(async () => {
    web = await startWebServer();
    f = await buildFixture();
  });
  afterAll(async () => {
    await f.close();
    await web.close();
  });

  test.each(['http://127.0.0.1', 'http://localhost', 'http://[::ffff:127.0.0.1]', 'http://0x7f.1'])(
    'ADD %s is refused at its line, and nobody is asked',
    async (origin) => {
      const before = web.requests.length;
      for (const path of ['x', 'x.git']) {
        const error = await failure(f.build({ Dockerfile: `FROM scratch\nADD ${origin}:${web.port}/${path} /` }));
        expect([error.code, error.details?.['line']]).toEqual(['BUILD_EGRESS_REFUSED', 2]);
      }
      expect(web.requests.length).toBe(before);
    },
  );

  test.each(['http://[::1]/', 'http://[::ffff:a9fe:a9fe]/', 'http://0xa9fea9fe/', 'http://127.1.1.1/', '//10.0.0.1/'])(
    'a redirect to %s is refused, also the second one, and of a repository',
    async (location) => {
      web.files.set('/once', { status: 302, headers: { location } });
      web.files.set('/twice', { status: 307, headers: { location: '/once' } });
      web.files.set('/app.git/info/refs', { status: 301, headers: { location } });
      const opened = await buildFixture({ fetching: { egress: { allow: ['127.0.0.1/32'] } } });
      for (const path of ['once', 'twice', 'app.git']) {
        const error = await failure(opened.build({ Dockerfile: `FROM scratch\nADD ${web.url}/${path} /` }));
        expect([path, error.code, error.details?.['line']]).toEqual([path, 'BUILD_EGRESS_REFUSED', 2]);
      }
      await opened.close();
    },
  );

  test('checks where a redirect leads, and a name that has changed its mind', async () => {
    const target = await startWebServer();
    target.files.set('/secret', { body: 'secret' });
    web.files.set('/go', { status: 302, headers: { location: `http://127.0.0.2:${target.port}/secret` } });
    const answers = ['127.0.0.1', '10.0.0.1'];
    const asked: string[] = [];
    const guard = new EgressGuard({ allow: ['127.0.0.1/32'] }, async (host) => {
      asked.push(host);
      return [{ address: answers.shift() ?? '10.0.0.2', family: 4 }];
    });
    const fetch = new GuardedFetch({ guard, clock: systemClock }, { maxBytes: 1000, timeoutMs: 10_000 });
    const signal = new AbortController().signal;
    const redirected = await failure(fetch.get(new URL(`http://127.0.0.1:${web.port}/go`), {}, signal));
    expect([redirected.code, redirected.message]).toEqual([
      'BUILD_EGRESS_REFUSED',
      expect.stringContaining('127.0.0.2'),
    ]);
    // The name is asked once for a connection, and the connection goes to that answer.
    web.files.set('/ok', { body: 'ok' });
    const response = await fetch.get(new URL(`http://rebinding.example:${web.port}/ok`), {}, signal);
    expect([response.status, asked, response.address.address]).toEqual([200, ['rebinding.example'], '127.0.0.1']);
    response.drop();
    const later = await failure(fetch.get(new URL(`http://rebinding.example:${web.port}/ok`), {}, signal));
    expect(later.code).toBe('BUILD_EGRESS_REFUSED');
    expect(target.requests).toEqual([]);
    await target.close();
  });
});
