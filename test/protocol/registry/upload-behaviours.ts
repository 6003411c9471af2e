/** Behaviours of uploads and mounts: order, lengths, digests, resuming, cancelling, and whose session it is. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { digestOf } from '../../../lib/oci/index.js';
import { bytesOf } from './images.js';
import { location, UPLOAD_STYLES, type Wire, type WireResponse, withDigest } from './wire.js';

/** @param subject holds the client once the tests run */
export function uploadBehaviours(subject: { readonly wire: Wire }): void {
  const ten = Buffer.from('0123456789');
  const chunk = (at: string, start: number, text: string, method = 'PATCH', query = ''): Promise<WireResponse> =>
    subject.wire.send(method, `${at}${query}`, {
      headers: { 'content-range': `${start}-${start + text.length - 1}` },
      body: text,
    });

  describe('uploads', () => {
    test('a chunk out of order, or sent twice, is 416; the session tells where it stands and goes on', async () => {
      const at = await subject.wire.start('uploads/order');
      expect((await chunk(at, 0, '01234')).headers.get('range')).toBe('0-4');
      for (const start of [0, 4, 6, 500]) {
        const refused = await chunk(at, start, '56789');
        expect([refused.status, refused.code, refused.headers.get('range')]).toEqual([
          416,
          'BLOB_UPLOAD_INVALID',
          '0-4',
        ]);
        expect(refused.headers.get('location')).not.toBeNull();
      }
      const status = await subject.wire.send('GET', `${at}?extra=1`);
      expect([status.status, status.headers.get('range')]).toEqual([204, '0-4']);
      expect((await chunk(location(status), 5, '56789')).status).toBe(202);
      expect((await subject.wire.send('PUT', withDigest(at, digestOf(ten)))).status).toBe(201);
    });

    test('a last chunk out of order is 416, and the session survives', async () => {
      const at = await subject.wire.start('uploads/last');
      await chunk(at, 0, '01234');
      expect((await chunk(at, 9, '9', 'PUT', `?digest=${digestOf(ten)}`)).status).toBe(416);
      expect((await chunk(at, 5, '56789', 'PUT', `?digest=${digestOf(ten)}`)).status).toBe(201);
    });

    test('a Content-Range that contradicts the body is 400, and nothing of it is kept', async () => {
      const at = await subject.wire.start('uploads/length');
      const headers = { 'content-range': '0-99' };
      expect(await subject.wire.send('PATCH', at, { headers, body: ten })).toMatchObject({
        status: 400,
        code: 'SIZE_INVALID',
      });
      for (const bad of ['x', '5', '9-3', '0-', '-1', 'bytes', '0-9999999999999999999999']) {
        const refused = await subject.wire.send('PATCH', at, { headers: { 'content-range': bad }, body: ten });
        expect([bad, refused.status]).toEqual([bad, 400]);
      }
      expect((await subject.wire.send('GET', at)).headers.get('range')).toBe('0-0');
      expect((await chunk(at, 0, '0123456789')).status).toBe(202);
    });

    test.each([
      'sha256:baddigeststring',
      'sha256',
      'md5:d41d8cd98f00b204e9800998ecf8427e',
      '',
      'sha256:' + 'A'.repeat(64),
    ])('the digest %j is 400 wherever it is given', async (bad) => {
      const at = await subject.wire.start('uploads/bad');
      const path = encodeURIComponent(bad);
      const answers = [
        await subject.wire.send('PUT', withDigest(at, bad)),
        await subject.wire.send('POST', `/v2/uploads/bad/blobs/uploads/?digest=${path}`, { body: ten }),
        await subject.wire.send('POST', `/v2/uploads/bad/blobs/uploads/?mount=${path}&from=other`),
        ...(bad === '' ? [] : [await subject.wire.send('GET', `/v2/uploads/bad/blobs/${path}`)]),
        ...(bad === '' ? [] : [await subject.wire.send('GET', `/v2/uploads/bad/referrers/${path}`)]),
      ];
      for (const answer of answers) expect([answer.status, answer.code]).toEqual([400, 'DIGEST_INVALID']);
    });

    test.each(UPLOAD_STYLES)('bytes of another digest are 400 when sent by %s, and no blob appears', async (style) => {
      const wrong = digestOf(`something else ${style}`);
      const answer = await subject.wire.push('uploads/wrong', ten, style, wrong);
      expect([answer.status, answer.code]).toEqual([400, 'DIGEST_INVALID']);
      expect((await subject.wire.send('HEAD', `/v2/uploads/wrong/blobs/${wrong}`)).status).toBe(404);
    });

    test.each(UPLOAD_STYLES)('an empty blob can be sent by %s', async (style) => {
      const answer = await subject.wire.push(`uploads/empty-${style}`, Buffer.alloc(0), style);
      expect(answer.status).toBe(201);
      const head = await subject.wire.send('HEAD', location(answer));
      expect([head.status, head.headers.get('content-length')]).toEqual([200, '0']);
    });

    test('sha512 works announced, and works unannounced; an unknown algorithm is refused', async () => {
      const digest = digestOf(ten, 'sha512');
      const announced = await subject.wire.start('uploads/sha512', '?digest-algorithm=sha512');
      await chunk(announced, 0, '0123456789');
      expect((await subject.wire.send('PUT', withDigest(announced, digest))).status).toBe(201);
      expect((await subject.wire.push('uploads/sha512-late', ten, 'chunks', digest)).status).toBe(201);
      const refused = await subject.wire.send('POST', '/v2/uploads/x/blobs/uploads/?digest-algorithm=md5');
      expect([refused.status, refused.code]).toEqual([400, 'DIGEST_INVALID']);
    });

    test('many chunks of a kilobyte make a blob', async () => {
      const bytes = bytesOf('kilobytes', 20 * 1024 + 7);
      const at = await subject.wire.start('uploads/small');
      for (let start = 0; start < bytes.length; start += 1024) {
        const body = bytes.subarray(start, start + 1024);
        const headers = { 'content-range': `${start}-${start + body.length - 1}` };
        expect((await subject.wire.send('PATCH', at, { headers, body })).status).toBe(202);
      }
      expect((await subject.wire.send('PUT', withDigest(at, digestOf(bytes)))).status).toBe(201);
    });

    test('a cancelled session is gone, and cancelling again is 404', async () => {
      const at = await subject.wire.start('uploads/cancel');
      expect((await subject.wire.send('DELETE', at)).status).toBe(204);
      for (const method of ['GET', 'PATCH', 'DELETE']) {
        const answer = await subject.wire.send(method, at, method === 'PATCH' ? { body: ten } : {});
        expect([answer.status, answer.code ?? 'none']).toEqual([404, 'BLOB_UPLOAD_UNKNOWN']);
      }
    });

    test('a session belongs to its repository', async () => {
      const at = await subject.wire.start('uploads/mine');
      const elsewhere = at.replace('/uploads/mine/', '/uploads/yours/');
      for (const path of [elsewhere, `${at}x`, at.replace(/.$/, ''), at.slice(0, at.lastIndexOf('.'))]) {
        expect((await subject.wire.send('PATCH', path, { body: ten })).status).toBe(404);
      }
      expect((await subject.wire.send('GET', at)).status).toBe(204);
    });

    test('a client that lost the answer to its commit asks again and gets it', async () => {
      const at = await subject.wire.start('uploads/again');
      await chunk(at, 0, '0123456789');
      for (let i = 0; i < 2; i++)
        expect((await subject.wire.send('PUT', withDigest(at, digestOf(ten)))).status).toBe(201);
      expect((await subject.wire.send('PUT', withDigest(at, digestOf('not this')))).status).toBe(404);
    });
  });

  describe('mounts', () => {
    const digest = digestOf(ten);
    beforeAll(async () => {
      await subject.wire.push('mount/source', ten);
    });
    const mount = (to: string, query: string): Promise<WireResponse> =>
      subject.wire.send('POST', `/v2/${to}/blobs/uploads/?${query}`);

    test('a blob of another repository is mounted, with and without its name', async () => {
      for (const [to, query] of [
        ['mount/named', `mount=${digest}&from=mount/source`],
        ['mount/unnamed', `mount=${digest}`],
      ] as const) {
        const answer = await mount(to, query);
        expect([answer.status, answer.headers.get('docker-content-digest')]).toEqual([201, digest]);
        expect((await subject.wire.send('GET', location(answer))).bytes.equals(ten)).toBe(true);
      }
    });

    test.each(['mount/nowhere', 'mount/source/..', 'NOT A NAME', ''])(
      'what is not in %j falls back to a session that works',
      async (from) => {
        const missing = Buffer.from(`missing ${from}`);
        const answer = await mount('mount/fallback', `mount=${digestOf(missing)}&from=${encodeURIComponent(from)}`);
        expect(answer.status).toBe(202);
        const put = await subject.wire.send('PUT', withDigest(location(answer), digestOf(missing)), { body: missing });
        expect(put.status).toBe(201);
      },
    );

    test('deleting a mounted blob leaves the other repositories theirs', async () => {
      await mount('mount/delete', `mount=${digest}&from=mount/source`);
      expect((await subject.wire.send('DELETE', `/v2/mount/delete/blobs/${digest}`)).status).toBe(202);
      expect((await subject.wire.send('HEAD', `/v2/mount/delete/blobs/${digest}`)).status).toBe(404);
      expect((await subject.wire.send('HEAD', `/v2/mount/source/blobs/${digest}`)).status).toBe(200);
    });
  });
}
