/** The proxy of a RUN, over real connections: what is passed on, what is refused, and what is written down. */
import { createHash, X509Certificate } from 'node:crypto';
import { createServer, type IncomingMessage, request, type RequestListener, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, createServer as createNetServer, type Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { EgressGuard } from '../../lib/build/fetch/egress-guard.js';
import { PolicedSources } from '../../lib/build/policy/policed-sources.js';
import { Authority } from '../../lib/build/proxy/authority.js';
import { BuildProxy, type BuildProxyDeps } from '../../lib/build/proxy/build-proxy.js';
import { ProxyCapture } from '../../lib/build/proxy/proxy-capture.js';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;
const listen = (server: Server): Promise<void> => new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

async function textOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

describe('Authority', () => {
  let authority: Authority;
  let ca: X509Certificate;
  beforeAll(async () => {
    authority = await Authority.create(Date.now());
    ca = new X509Certificate(authority.certificate);
  });

  test('makes certificates that OpenSSL takes, for names and addresses', () => {
    expect(ca.ca).toBe(true);
    expect(ca.verify(ca.publicKey)).toBe(true);
    for (const host of ['example.com', `${'a'.repeat(63)}.${'b'.repeat(63)}.example`, '192.0.2.7', '2001:db8::7']) {
      const server = new X509Certificate(authority.serverCertificate(host).cert);
      expect(server.checkIssued(ca) && server.verify(ca.publicKey)).toBe(true);
      expect(server.checkHost(host) ?? server.checkIP(host)).toBe(host);
      expect(server.checkHost('other.example')).toBeUndefined();
      expect(server.ca).toBe(false);
    }
  });

  test('is another one each time', async () => {
    expect((await Authority.create(Date.now())).certificate).not.toBe(authority.certificate);
  });
});

describe('BuildProxy', () => {
  let own: Authority;
  let plain: Server;
  let secure: Server;
  let front: ReturnType<typeof createNetServer>;
  let proxy: BuildProxy;
  let capture: ProxyCapture;
  let seen: { readonly method?: string; readonly url?: string; readonly headers: IncomingMessage['headers'] }[];

  const serve: RequestListener = (asked, response) => {
    const { method, url, headers } = asked;
    seen.push({ ...(method === undefined ? {} : { method }), ...(url === undefined ? {} : { url }), headers });
    if (url === '/moved') response.writeHead(302, { location: '/file' }).end();
    else if (url === '/gone') response.writeHead(404).end('gone');
    else if (url === '/broken')
      response.writeHead(200, { 'content-length': 100 }).end('half', () => response.destroy());
    else if (method === 'POST') void textOf(asked).then((text) => response.end(`posted ${text}`));
    else if (headers.range !== undefined) response.writeHead(206).end('part');
    else response.end(`this is ${url ?? ''}`);
  };
  const open = async (options: Partial<BuildProxyDeps> = {}): Promise<void> => {
    capture = new ProxyCapture((text) => text.replaceAll('hunter2', '***'));
    const guard = new EgressGuard({ allow: ['127.0.0.0/8'] });
    const authority = await Authority.create(Date.now());
    proxy = new BuildProxy({ authority, capture, guard, trusted: [own.certificate], ...options });
    front = createNetServer((socket: Socket) => proxy.accept(socket));
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  };
  const ask = async (url: string, options: { method?: string; headers?: object; body?: string } = {}) => {
    const { method = 'GET', headers = {}, body } = options;
    const message = await new Promise<IncomingMessage>((resolve, reject) => {
      const asked = request(
        { host: '127.0.0.1', port: portOf(front), path: url, method, headers: { ...headers }, agent: false },
        resolve,
      );
      asked.on('error', reject).end(body);
    });
    return { status: message.statusCode, headers: message.headers, text: await textOf(message) };
  };
  /** Through a tunnel, trusting nobody but the proxy. */
  const askSecurely = async (target: string, path: string): Promise<string> => {
    const socket = await new Promise<Socket>((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port: portOf(front), path: target, method: 'CONNECT', agent: false });
      asked
        .on('error', reject)
        .on('connect', (_, found) => resolve(found))
        .end();
    });
    const tunnel: TLSSocket = connect({ socket, ca: proxy.certificate, servername: 'localhost' });
    tunnel.write(`GET ${path} HTTP/1.1\r\nhost: ${target}\r\nconnection: close\r\n\r\n`);
    const chunks: Buffer[] = [];
    for await (const chunk of tunnel as AsyncIterable<Buffer>) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  };

  beforeAll(async () => {
    own = await Authority.create(Date.now());
  });
  beforeEach(async () => {
    seen = [];
    plain = createServer(serve);
    secure = createSecureServer(own.serverCertificate('localhost'), serve);
    await Promise.all([listen(plain), listen(secure)]);
  });
  afterEach(async () => {
    await proxy.close();
    front.close();
    for (const server of [plain, secure]) {
      server.closeAllConnections();
      server.close();
    }
  });

  test('passes a request on and writes down the digest of what came', async () => {
    await open();
    const url = `http://127.0.0.1:${portOf(plain)}/file`;
    const answer = await ask(url, {
      headers: { 'proxy-authorization': 'Basic x', 'accept-encoding': 'gzip', 'x-own': '1' },
    });
    expect(answer).toMatchObject({ status: 200, text: 'this is /file' });
    expect(seen[0]?.headers).toMatchObject({ 'accept-encoding': 'identity', 'x-own': '1' });
    expect(seen[0]?.headers['proxy-authorization']).toBeUndefined();
    expect(capture.requests).toEqual([{ method: 'GET', url, status: 200 }]);
    expect(capture.record()).toEqual({ materials: [{ url, sha256: sha256('this is /file') }], incomplete: [] });
  });

  test('reads what goes through TLS, and checks whose it is', async () => {
    await open();
    const target = `localhost:${portOf(secure)}`;
    expect(await askSecurely(target, '/file?a=hunter2')).toMatch(/^HTTP\/1.1 200 OK\r\n[^]*this is \/file\?a=hunter2/);
    const url = `https://${target}/file?a=***`;
    expect(capture.record().materials).toEqual([{ url, sha256: sha256('this is /file?a=hunter2') }]);
    await proxy.close();
    front.close();
    // The server's authority is not known any more.
    await open({ trusted: [] });
    expect(await askSecurely(target, '/file')).toMatch(/^HTTP\/1.1 502 Bad Gateway/);
    expect(capture.record()).toEqual({
      materials: [],
      incomplete: [{ method: 'GET', url: `https://${target}/file`, reason: 'upstream_error' }],
    });
  });

  test('an address that leads on stands for what came from there', async () => {
    await open();
    const at = (path: string): string => `http://127.0.0.1:${portOf(plain)}${path}`;
    expect((await ask(at('/moved'))).headers.location).toBe('/file');
    await ask(at('/file'));
    const digest = sha256('this is /file');
    expect(capture.record().materials).toEqual([
      { url: at('/file'), sha256: digest },
      { url: at('/moved'), sha256: digest },
    ]);
  });

  test('says what is not captured, and why', async () => {
    await open();
    const port = portOf(plain);
    const at = (path: string): string => `http://127.0.0.1:${port}${path}`;
    expect((await ask(at('/form'), { method: 'POST', body: 'text' })).text).toBe('posted text');
    expect((await ask(at('/file'), { headers: { range: 'bytes=0-3' } })).status).toBe(206);
    expect((await ask(at('/gone'))).status).toBe(404);
    await expect(ask(at('/broken'))).rejects.toThrow(/aborted|socket hang up/);
    plain.closeAllConnections();
    plain.close();
    expect((await ask(at('/late'))).status).toBe(502);
    await proxy.close();
    expect(capture.record()).toEqual({
      materials: [],
      incomplete: [
        { method: 'POST', url: at('/form'), reason: 'method_not_materializable' },
        { method: 'GET', url: at('/file'), reason: 'partial_response' },
        { method: 'GET', url: at('/gone'), reason: 'unsuccessful_response' },
        { method: 'GET', url: at('/broken'), reason: 'body_read_failed' },
        { method: 'GET', url: at('/late'), reason: 'upstream_error' },
      ],
    });
  });

  test('refuses what ADD may not reach, and what the source policy denies', async () => {
    await open({ guard: new EgressGuard() });
    const url = `http://127.0.0.1:${portOf(plain)}/file`;
    const refused = await ask(url);
    expect(refused.status).toBe(403);
    expect(refused.text).toMatch(/builds do not fetch from addresses like this/);
    await proxy.close();
    front.close();
    const policy = new PolicedSources({
      rules: [
        { action: 'DENY', selector: { identifier: '*/secret*' } },
        {
          action: 'CONVERT',
          selector: { identifier: '*/old' },
          updates: { identifier: `http://127.0.0.1:${portOf(plain)}/new` },
        },
      ],
    });
    await open({ policed: (method, address) => policy.requested(method, address) });
    expect((await ask(`http://127.0.0.1:${portOf(plain)}/secret`)).status).toBe(403);
    const old = `http://u:p@127.0.0.1:${portOf(plain)}/old`;
    expect((await ask(old)).text).toBe('this is /new');
    expect((await ask(old, { method: 'POST' })).status).toBe(403);
    expect(seen.map((each) => each.url)).toEqual(['/new']);
    expect(capture.requests.map(({ status, url: shown }) => `${status} ${shown.replace(/:\d+/, '')}`)).toEqual([
      '403 http://127.0.0.1/secret',
      '200 http://127.0.0.1/old',
      '403 http://127.0.0.1/old',
    ]);
  });

  test('is no server of its own, and no way for anything but HTTP', async () => {
    await open();
    expect((await ask('/file')).status).toBe(400);
    expect((await ask('ftp://127.0.0.1/file')).status).toBe(400);
    expect(capture.requests).toEqual([]);
  });
});
