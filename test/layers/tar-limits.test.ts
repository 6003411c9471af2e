/** The limits on an archive: entries, names, depth, bytes, and how far a compressed one may swell. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CONTEXT_LIMITS, compress, readContext, readTar, type TarLimits, writeTar } from '../../lib/layers/index.js';
import { bytesOf, collect, file, readAll } from './members.js';
import { archive, entry } from './raw-tar.js';
import { refusal } from './refusal.js';

const good = entry({ name: 'good' }, 'fine');

describe('limits', () => {
  const many = (): Promise<Buffer> =>
    collect(writeTar(Array.from({ length: 20 }, (_, i) => file(`d/d/f${i}`, 'x'.repeat(600)))));

  test.each<[Partial<TarLimits>, RegExp]>([
    [{ entries: 19 }, /"d\/d\/f19" at byte 29184: there are more than 19 entries/],
    [{ pathBytes: 5 }, /the name has 6 bytes; at most 5/],
    [{ depth: 2 }, /3 components; at most 2/],
    [{ totalBytes: 10_000 }, /more than 10000 bytes/],
  ])('%j', async (limits, message) => {
    const tar = await many();
    for (const reading of [readTar(bytesOf(tar), { limits }), readContext(bytesOf(tar), { limits })]) {
      const error = await refusal(readAll(reading));
      expect([error.code, error.kind, error.message]).toEqual([
        'TAR_TOO_LARGE',
        'too-large',
        expect.stringMatching(message),
      ]);
    }
  });

  test('just inside every limit passes', async () => {
    const limits = { entries: 20, pathBytes: 7, depth: 3, totalBytes: 20 * 1536 + 1024 };
    expect(await readAll(readContext(bytesOf(await many()), { limits }))).toHaveLength(20);
  });

  test('what is padded behind the end counts too', async () => {
    const bytes = Buffer.concat([archive(good), Buffer.alloc(50_000)]);
    expect(await readAll(readTar(bytesOf(bytes)))).toHaveLength(1);
    const error = await refusal(readAll(readTar(bytesOf(bytes), { limits: { totalBytes: 20_000 } })));
    expect(error.code).toBe('TAR_TOO_LARGE');
  });

  describe.each(['gzip', 'zstd'] as const)('a bomb of %s', (compression) => {
    let bomb: Buffer;
    beforeAll(async () => {
      const zeros = async function* (): AsyncGenerator<Uint8Array> {
        for (let i = 0; i < 200; i += 1) yield Buffer.alloc(1024 * 1024);
      };
      const member = { entry: { ...file('zeros').entry, sizeBytes: 200 * 1024 * 1024 }, body: zeros() };
      bomb = await collect(compress(compression, 1)(writeTar([member])));
    });
    afterAll(() => {
      bomb = Buffer.alloc(0);
    });

    test('is refused by its ratio after a few megabytes, not after all of it', async () => {
      let read = 0;
      const reading = async (): Promise<void> => {
        for await (const { body } of readContext(bytesOf(bomb))) for await (const chunk of body) read += chunk.length;
      };
      expect((await refusal(reading())).code).toBe('COMPRESSION_BOMB');
      expect(read).toBeLessThan(CONTEXT_LIMITS.totalBytes / 100);
      expect(read).toBeLessThan(20 * 1024 * 1024);
    });
  });
});
