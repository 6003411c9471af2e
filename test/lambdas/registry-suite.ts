/** The registry function behind the gateway: what API Gateway and Lambda change of the protocol, and what they do not. */
import { describe, expect, test } from '@jest/globals';
import { digestOf } from '../../lib/oci/index.js';
import { conformanceOf } from '../protocol/registry/conformance.js';
import { location, Wire, withDigest } from '../protocol/registry/wire.js';
import { eventOf } from '../fakes/lambda/gateway.js';
import { ADMIN_TOKEN, type Cloud } from './cloud.js';

const LARGE = Buffer.alloc(700_000, 'layer ');

export function registrySuite(cloud: () => Cloud): void {
  const tokens = { admin: ADMIN_TOKEN, deploy: '', read: '' };
  const wire = (): Wire => new Wire({ url: cloud().gateway.url, tokens });

  describe('the distribution API of the registry function', () => {
    conformanceOf(
      async () => ({ url: cloud().gateway.url, tokens, close: async () => {} }),
      ['an image', 'a manifest of 3.9 MB', 'a nested index'],
    );
  });

  test('a blob is redirected to S3, where it is read without credentials, whole and in part', async () => {
    const pushed = await wire().push('team/large', LARGE, 'chunks');
    expect(pushed.status).toBe(201);
    const answer = await wire().send('GET', `/v2/team/large/blobs/${digestOf(LARGE)}`);
    expect(answer.status).toBe(307);
    expect(answer.headers.get('referrer-policy')).toBe('no-referrer');
    const at = location(answer);
    expect(at.startsWith(cloud().services.endpoints.s3)).toBe(true);
    expect(digestOf(Buffer.from(await (await fetch(at)).arrayBuffer()))).toBe(digestOf(LARGE));
    const part = await fetch(at, { headers: { range: 'bytes=10-19' } });
    expect([part.status, Buffer.from(await part.arrayBuffer())]).toEqual([206, LARGE.subarray(10, 20)]);
  });

  test('a small blob is answered to the byte, and HEAD tells the size without a body', async () => {
    const bytes = Buffer.from([0xff, 0xfe, 0, 0xc3, 0x28, 0x0a]);
    await wire().push('team/small', bytes);
    const path = `/v2/team/small/blobs/${digestOf(bytes)}`;
    const [whole, part, head] = [
      await wire().send('GET', path),
      await wire().send('GET', path, { headers: { range: 'bytes=1-2' } }),
      await wire().send('HEAD', path),
    ];
    expect([whole.status, whole.bytes]).toEqual([200, bytes]);
    expect([part.status, part.bytes, part.headers.get('content-range')]).toEqual([
      206,
      bytes.subarray(1, 3),
      'bytes 1-2/6',
    ]);
    expect([head.status, head.headers.get('content-length'), head.bytes.length]).toEqual([200, '6', 0]);
  });

  test('an upload goes on in another process of the function', async () => {
    const bytes = Buffer.from('first half, second half');
    const at = location(await wire().send('PATCH', await wire().start('team/moved'), { body: bytes.subarray(0, 12) }));
    const other = cloud().another('registry');
    const path = withDigest(new URL(at, cloud().gateway.url).pathname, digestOf(bytes));
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/octet-stream' };
    const event = eventOf({ method: 'PUT', url: path, headers: { ...headers, host: 'x' } }, bytes.subarray(12));
    try {
      expect(await other.invoke(event)).toMatchObject({ statusCode: 201 });
    } finally {
      await other.close();
    }
  });

  test('the token flow takes repeated parameters; its challenge comes under the name the gateway gives it', async () => {
    const ping = await wire().send('GET', '/v2/', { authorization: null });
    expect([ping.status, ping.headers.get('www-authenticate')]).toEqual([401, null]);
    expect(ping.headers.get('x-amzn-remapped-www-authenticate')).toMatch(/^Bearer realm="https:.*\/token"/);
    const basic = `Basic ${Buffer.from(`someone:${ADMIN_TOKEN}`).toString('base64')}`;
    const scopes = 'scope=repository:team/small:pull&scope=repository:team/large:pull,push';
    const answer = await wire().send('GET', `/token?service=wharf&${scopes}`, { authorization: basic });
    const { token } = JSON.parse(answer.bytes.toString()) as { token: string };
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { access: object[] };
    expect(claims.access).toHaveLength(2);
    const tags = await wire().send('GET', '/v2/team/small/tags/list', { authorization: `Bearer ${token}` });
    expect(tags.status).not.toBe(401);
  });

  test('a body above what Lambda takes is refused by the gateway, and smaller chunks of it are taken', async () => {
    const bytes = Buffer.alloc(5 * 1024 * 1024, 'x');
    expect((await wire().push('team/big', bytes)).status).toBe(413);
    expect((await wire().push('team/big', bytes, 'chunks')).status).toBe(201);
  });

  test('a function that lacks settings says all of them and does not start', async () => {
    const lacking = cloud().another('registry', { WHARF_TABLE: undefined, WHARF_BUCKET: '' });
    await expect(lacking.invoke({})).rejects.toThrow(/lacks WHARF_TABLE, WHARF_BUCKET in its environment/);
  });
}
