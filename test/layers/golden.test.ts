/** Byte parity with BuildKit: the digests it publishes for known contents. */
import { describe, expect, test } from '@jest/globals';
import { compress, type TarMember, writeTar } from '../../lib/layers/index.js';
import { digestOf } from '../../lib/oci/index.js';
import { GOLDEN_EPOCH, GOLDEN_LAYERS, type GoldenLayer } from '../golden/layers/buildkit.js';
import { collect, directory, file } from './members.js';

function members(layer: GoldenLayer): TarMember[] {
  return Object.entries(layer.entries).map(([path, { content = '', mode }]) =>
    path.endsWith('/')
      ? directory(path.slice(0, -1), { mtimeSeconds: GOLDEN_EPOCH })
      : file(path, content, { mtimeSeconds: GOLDEN_EPOCH, mode: mode ?? 0o644 }),
  );
}

describe('the layers BuildKit publishes digests for', () => {
  test.each(GOLDEN_LAYERS)('$name has its diff id', async (layer) => {
    expect(digestOf(await collect(writeTar(members(layer))))).toBe(layer.diffId);
  });

  test.each(GOLDEN_LAYERS.filter((layer) => layer.gzip0 !== undefined))(
    '$name has its gzip level 0 blob',
    async (layer) => {
      const blob = await collect(compress('gzip', 0)(writeTar(members(layer))));
      expect(digestOf(blob)).toBe(layer.gzip0);
    },
  );
});
