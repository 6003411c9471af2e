/**
 * The same input gives the same bytes on any machine, any day. Each folder of test/golden/build is a build context with
 * `expected.json` beside it; a file's mode and time come from `attributes.json`, since a clone keeps neither.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { goJson, sortedObject } from '../../lib/build/export/go-format.js';
import { writeLayer } from '../../lib/layers/index.js';
import { type Descriptor, type Digest, digestOf, MediaType } from '../../lib/oci/index.js';
import {
  GOLDEN_BUSYBOX,
  GOLDEN_EPOCH,
  GOLDEN_LAYERS,
  GOLDEN_MANIFESTS,
  goldenConfig,
  type GoldenLayer,
} from '../golden/layers/buildkit.js';
import { buildFixture, type BuildFixture, type Files, membersOf, type Spec } from './fixture.js';

const ROOT = 'test/golden/build';
let f: BuildFixture;
beforeAll(async () => {
  f = await buildFixture();
});
afterAll(() => f.close());

function filesOf(folder: string, attributes: Record<string, object>, prefix = ''): Record<string, Spec> {
  const files: Record<string, Spec> = {};
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const inside = prefix + name;
    if (statSync(path).isDirectory()) {
      Object.assign(
        files,
        { [`${inside}/`]: { ...attributes[`${inside}/`] } },
        filesOf(path, attributes, `${inside}/`),
      );
    } else files[inside] = { content: readFileSync(path), ...attributes[inside] };
  }
  return files;
}

describe('golden images', () => {
  test.each(readdirSync(ROOT))('%s', async (name) => {
    const folder = join(ROOT, name);
    const { attributes, args, layers, manifest } = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as {
      attributes: Record<string, object>;
      args?: Record<string, string>;
      layers: string[];
      manifest: string;
    };
    const files: Files = filesOf(join(folder, 'context'), attributes);
    const { result } = await f.build(files, { tags: [name], ...(args === undefined ? {} : { args }) });
    const { diff_ids: diffIds } = (await f.config(result.imageId)).rootfs;
    expect({ diffIds, manifest: result.digest }).toEqual({ diffIds: layers, manifest });
  });

  test('do not depend on the order of the tar, on what is not copied, or on who made it', async () => {
    const Dockerfile = 'FROM scratch\nCOPY a b /d/\nWORKDIR /w';
    const one = await f.build({ Dockerfile, a: 'a', b: 'b', c: 'c' });
    const other = await buildFixture();
    const two = await other.build({
      b: { content: 'b', uid: 1000, gid: 1000 },
      a: { content: 'a', uid: 7 },
      Dockerfile,
    });
    await other.close();
    expect(two.result.digest).toBe(one.result.digest);
  });
});

describe('whole configs and manifests that BuildKit publishes', () => {
  const written = async ({ entries }: GoldenLayer): Promise<{ descriptor: Descriptor; diffId: Digest }> => {
    const { content } = f.store;
    return writeLayer(membersOf(entries, GOLDEN_EPOCH), { content, compression: 'gzip', level: 0 });
  };

  test.each(GOLDEN_MANIFESTS)('$name', async ({ inputs, config, manifest }) => {
    const own = GOLDEN_LAYERS.filter(({ name }) => ['base', inputs, 'generated'].includes(name));
    expect(own).toHaveLength(3);
    const made = await Promise.all(own.map(written));
    const layers = [
      { mediaType: MediaType.ociLayerGzip, ...GOLDEN_BUSYBOX },
      ...made.map(({ descriptor }) => descriptor),
    ];
    const configDocument = goJson(sortedObject(goldenConfig(made.map(({ diffId }) => diffId))));
    expect(digestOf(configDocument)).toBe(config);
    const annotations = { 'buildkit/rewritten-timestamp': String(GOLDEN_EPOCH) };
    const document = {
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: { mediaType: MediaType.ociConfig, digest: config, size: configDocument.length },
      layers: layers.map((layer) => ({ ...layer, annotations })),
    };
    expect(digestOf(goJson(document, 2))).toBe(manifest);
  });
});
