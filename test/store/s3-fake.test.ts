/** The S3 fake against the real SDK: what S3 would refuse, it must refuse, or the adapters are tested against nothing. */
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { fakeCredentials, startS3Fake, type S3Fake } from '../fakes/s3/index.js';

const Bucket = 'fake-bucket';
const MIB = 1024 * 1024;

describe('the S3 fake', () => {
  let fake: S3Fake;
  /** With the SDK's own defaults: CRC32 of every body, as a trailer of streams. */
  let client: S3Client;
  const clientWith = (credentials: typeof fakeCredentials): S3Client =>
    new S3Client({
      endpoint: fake.endpoint,
      region: 'eu-central-1',
      forcePathStyle: true,
      credentials,
      maxAttempts: 1,
    });
  beforeAll(async () => {
    fake = await startS3Fake();
    client = clientWith(fakeCredentials);
    await client.send(new CreateBucketCommand({ Bucket }));
  });
  afterAll(async () => {
    client.destroy();
    await fake.close();
  });
  const at = (Key: string) => ({ Bucket, Key });
  const stored = (Key: string): Buffer | undefined => fake.buckets.get(Bucket)?.objects.get(Key)?.bytes;

  test('takes a stream in chunks with a checksum trailer, without the framing', async () => {
    const bytes = randomBytes(3 * MIB);
    const Body = Readable.from([bytes.subarray(0, MIB), bytes.subarray(MIB)]);
    await client.send(new PutObjectCommand({ ...at('stream'), Body, ContentLength: bytes.length }));
    expect(stored('stream')?.equals(bytes)).toBe(true);
  });

  test('gives back a checksum that the SDK verifies, and awkward keys', async () => {
    const Key = 'a b/ö+%&=?#~!*()\'"/x';
    await client.send(new PutObjectCommand({ ...at(Key), Body: 'hello' }));
    const object = await client.send(new GetObjectCommand(at(Key)));
    expect(object.ChecksumCRC32).toBe('NhCmhg==');
    expect(await object.Body?.transformToString()).toBe('hello');
    const list = await client.send(new ListObjectsV2Command({ Bucket, Prefix: 'a b/' }));
    expect(list.Contents?.map((found) => found.Key)).toEqual([Key]);
  });

  test.each([
    { ChecksumSHA256: 'A'.repeat(43) + '=' },
    { ChecksumCRC32: 'AAAAAA==' },
    { ContentMD5: 'A'.repeat(22) + '==' },
  ])('refuses a body that does not match %j', async (checksum) => {
    const put = client.send(new PutObjectCommand({ ...at('wrong'), Body: 'hello', ...checksum }));
    await expect(put).rejects.toMatchObject({ name: 'BadDigest' });
    expect(stored('wrong')).toBeUndefined();
  });

  test('keeps to If-None-Match and If-Match', async () => {
    const first = await client.send(new PutObjectCommand({ ...at('once'), Body: 'first', IfNoneMatch: '*' }));
    const failed = { $metadata: { httpStatusCode: 412 } };
    await expect(
      client.send(new PutObjectCommand({ ...at('once'), Body: 'x', IfNoneMatch: '*' })),
    ).rejects.toMatchObject(failed);
    await expect(
      client.send(new PutObjectCommand({ ...at('once'), Body: 'x', IfMatch: '"other"' })),
    ).rejects.toMatchObject(failed);
    await client.send(new PutObjectCommand({ ...at('once'), Body: 'second', IfMatch: first.ETag }));
    await expect(client.send(new GetObjectCommand({ ...at('once'), IfMatch: first.ETag }))).rejects.toMatchObject(
      failed,
    );
    expect(stored('once')?.toString()).toBe('second');
  });

  test('lists in pages with a continuation token', async () => {
    const keys = Array.from({ length: 7 }, (_, index) => `page/${index}`);
    for (const key of keys) await client.send(new PutObjectCommand({ ...at(key), Body: Buffer.alloc(0) }));
    const seen: string[] = [];
    let ContinuationToken: string | undefined;
    do {
      const from = ContinuationToken === undefined ? {} : { ContinuationToken };
      const page = await client.send(new ListObjectsV2Command({ Bucket, Prefix: 'page/', MaxKeys: 3, ...from }));
      seen.push(...(page.Contents ?? []).map(({ Key }) => Key ?? ''));
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
    expect(seen).toEqual(keys);
    await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: keys.map((Key) => ({ Key })) } }));
    expect((await client.send(new ListObjectsV2Command({ Bucket, Prefix: 'page/' }))).KeyCount).toBe(0);
  });

  test('answers ranges as S3 does', async () => {
    await client.send(new PutObjectCommand({ ...at('range'), Body: '0123456789' }));
    const get = (Range: string) => client.send(new GetObjectCommand({ ...at('range'), Range }));
    for (const [range, text] of [
      ['bytes=2-4', '234'],
      ['bytes=7-', '789'],
      ['bytes=-2', '89'],
      ['bytes=8-99', '89'],
    ] as const) {
      expect(await (await get(range)).Body?.transformToString()).toBe(text);
    }
    await expect(get('bytes=10-')).rejects.toMatchObject({ name: 'InvalidRange' });
    expect((await client.send(new HeadObjectCommand(at('range')))).ContentLength).toBe(10);
  });

  describe('with parts', () => {
    const start = async (key: string): Promise<{ Bucket: string; Key: string; UploadId: string }> => {
      const made = await client.send(new CreateMultipartUploadCommand(at(key)));
      return { ...at(key), UploadId: made.UploadId ?? '' };
    };
    const put = async (upload: Awaited<ReturnType<typeof start>>, PartNumber: number, Body: Buffer) => {
      const part = await client.send(new UploadPartCommand({ ...upload, PartNumber, Body }));
      return { PartNumber, ETag: part.ETag };
    };

    test('joins them in the order of their numbers', async () => {
      const upload = await start('joined');
      const bytes = [randomBytes(5 * MIB), randomBytes(10)] as const;
      const last = await put(upload, 9, bytes[1]);
      const Parts = [await put(upload, 2, bytes[0]), last];
      expect((await client.send(new ListPartsCommand(upload))).Parts).toHaveLength(2);
      await client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }));
      expect(stored('joined')?.equals(Buffer.concat(bytes))).toBe(true);
    });

    test('refuses a small part before the last, a wrong order, a wrong tag and an existing object', async () => {
      await client.send(new PutObjectCommand({ ...at('parts'), Body: 'old' }));
      const upload = await start('parts');
      const small = await put(upload, 1, randomBytes(10));
      const next = await put(upload, 2, randomBytes(10));
      const complete = (Parts: (typeof small)[], more = {}) =>
        client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts }, ...more }));
      await expect(complete([small, next])).rejects.toMatchObject({ name: 'EntityTooSmall' });
      await expect(complete([next, small])).rejects.toMatchObject({ name: 'InvalidPartOrder' });
      await expect(complete([{ ...small, ETag: '"other"' }])).rejects.toMatchObject({ name: 'InvalidPart' });
      await expect(complete([small], { IfNoneMatch: '*' })).rejects.toMatchObject({ name: 'PreconditionFailed' });
      expect(stored('parts')?.toString()).toBe('old');
    });
  });

  describe('with signatures', () => {
    test('refuses another secret and another key', async () => {
      for (const credentials of [
        { ...fakeCredentials, secretAccessKey: 'other' },
        { ...fakeCredentials, accessKeyId: 'AKIAOTHER00000000000' },
      ]) {
        const other = clientWith(credentials);
        await expect(other.send(new GetObjectCommand(at('range')))).rejects.toMatchObject({
          $metadata: { httpStatusCode: 403 },
        });
        other.destroy();
      }
      expect((await fetch(`${fake.endpoint}/${Bucket}/range`)).status).toBe(403);
    });

    test('honours a presigned URL, and refuses a forged, altered or expired one', async () => {
      await client.send(new PutObjectCommand({ ...at('signed'), Body: 'signed' }));
      const url = await getSignedUrl(client, new GetObjectCommand(at('signed')), { expiresIn: 60 });
      expect(await (await fetch(url)).text()).toBe('signed');
      for (const altered of [
        url.replace('/signed?', '/range?'),
        url.replace('X-Amz-Expires=60', 'X-Amz-Expires=6000'),
        url.replace(/X-Amz-Signature=[0-9a-f]{4}/, 'X-Amz-Signature=0000'),
      ]) {
        expect((await fetch(altered)).status).toBe(403);
      }
      const signingDate = new Date(Date.now() - 120_000);
      const old = await getSignedUrl(client, new GetObjectCommand(at('signed')), { expiresIn: 60, signingDate });
      expect((await fetch(old)).status).toBe(403);
    });

    test('refuses the presigned PUT of a body whose checksum was not signed for it', async () => {
      const url = await getSignedUrl(client, new PutObjectCommand(at('trap')), { expiresIn: 60 });
      expect(url).toContain('x-amz-checksum-crc32=AAAAAA');
      expect((await fetch(url, { method: 'PUT', body: 'real bytes' })).status).toBe(400);
    });
  });

  test('refuses a body that ends too early', async () => {
    const url = await getSignedUrl(client, new PutObjectCommand({ ...at('short'), ContentLength: 10 }), {
      expiresIn: 60,
    });
    await new Promise<void>((resolve) => {
      const put = request(url, { method: 'PUT', headers: { 'content-length': '10' } });
      put.on('error', () => resolve());
      put.write('12345', () => put.destroy());
    });
    expect(stored('short')).toBeUndefined();
  });
});
