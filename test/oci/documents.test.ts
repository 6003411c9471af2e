import { describe, expect, test } from '@jest/globals';
import {
  formatPlatform,
  layerCompression,
  MediaType,
  parseImageConfig,
  parseManifestDocument,
  parsePlatform,
  platformMatches,
  platformOfArch,
} from '../../lib/oci/index.js';
import { refusalOf } from '../refusal.js';

const DIGEST = `sha256:${'0a'.repeat(32)}`;
const descriptor = { mediaType: MediaType.ociConfig, digest: DIGEST, size: 2 };
const manifest = {
  schemaVersion: 2,
  mediaType: MediaType.ociManifest,
  config: descriptor,
  layers: [{ mediaType: MediaType.ociLayerGzip, digest: DIGEST, size: 10 }],
};
const bytes = (value: unknown): Buffer => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));

describe('a manifest document', () => {
  test('is an image manifest or an index, by its media type', () => {
    expect(parseManifestDocument(bytes(manifest), MediaType.ociManifest).kind).toBe('manifest');
    const index = {
      schemaVersion: 2,
      mediaType: MediaType.ociIndex,
      manifests: [{ ...descriptor, mediaType: MediaType.ociManifest }],
    };
    expect(parseManifestDocument(bytes(index), '').kind).toBe('index');
  });

  test('keeps fields it does not know', () => {
    const parsed = parseManifestDocument(bytes({ ...manifest, future: { a: 1 } }), '');
    expect(parsed.kind === 'manifest' && parsed.manifest).toHaveProperty('future', { a: 1 });
  });

  test.each([
    ['{', '', 'is not JSON'],
    ['[]', '', 'is not a JSON object'],
    [{ ...manifest, schemaVersion: 1 }, '', '/schemaVersion'],
    [{ ...manifest, manifests: [] }, '', 'both "layers" and "manifests"'],
    [manifest, MediaType.ociIndex, '/mediaType is application/vnd.oci.image.manifest.v1+json, but'],
    [{ ...manifest, mediaType: 'text/plain' }, '', '"text/plain" is neither'],
    [{ ...manifest, config: undefined }, '', '/config is not a JSON object'],
    [{ ...manifest, layers: {} }, '', '/layers is not a list'],
    [{ ...manifest, layers: [{ ...descriptor, size: -1 }] }, '', '/layers/0/size'],
    [{ ...manifest, layers: [{ ...descriptor, digest: 'sha256:1' }] }, '', '/layers/0/digest'],
    [{ ...manifest, subject: 1 }, '', '/subject'],
    [{ ...manifest, annotations: { a: 1 } }, '', '/annotations/a'],
    [
      { schemaVersion: 2, mediaType: MediaType.ociIndex, config: descriptor, manifests: [] },
      '',
      'an index with "config"',
    ],
  ])('%j is refused with what is wrong', (document, contentType, problem) => {
    expect(() => parseManifestDocument(bytes(document), contentType)).toThrow(problem);
    expect(refusalOf(() => parseManifestDocument(bytes(document), contentType)).code).toBe('MANIFEST_INVALID');
  });
});

describe('an image config', () => {
  test('parses, and an absent list of layers is empty', () => {
    const config = parseImageConfig(bytes({ os: 'linux', architecture: 'amd64', rootfs: { type: 'layers' } }));
    expect(config.rootfs.diff_ids).toEqual([]);
  });

  test.each([
    ['nonsense', 'JSON'],
    [{ os: 'linux' }, '/architecture'],
    [{ os: 'linux', architecture: 'amd64', rootfs: { diff_ids: ['x'] } }, '/rootfs/diff_ids'],
  ])('%j is refused', (document, problem) => {
    expect(() => parseImageConfig(bytes(document))).toThrow(problem);
  });
});

describe('a platform', () => {
  test('is normalised, so that names for the same machine match', () => {
    expect(formatPlatform(parsePlatform('linux/x86_64'))).toBe('linux/amd64');
    expect(platformMatches(parsePlatform('linux/arm64'), parsePlatform('linux/arm64/v8'))).toBe(true);
    expect(platformMatches(parsePlatform('linux/arm/v6'), parsePlatform('linux/arm'))).toBe(false);
    expect(platformOfArch('x64')).toEqual({ os: 'linux', architecture: 'amd64' });
  });

  test.each([
    ['arm64', 'linux/arm64'],
    ['x86_64', 'linux/amd64'],
    ['armhf', 'linux/arm/v7'],
    ['linux/armel', 'linux/arm/v6'],
    ['linux/arm/6', 'linux/arm/v6'],
    ['linux/arm', 'linux/arm/v7'],
    ['linux/i386', 'linux/386'],
    ['linux/amd64/v1', 'linux/amd64'],
    ['linux/amd64/v3', 'linux/amd64/v3'],
    ['linux/arm64/v9.0', 'linux/arm64/v9'],
  ])('%s is %s', (text, platform) => {
    expect(formatPlatform(parsePlatform(text))).toBe(platform);
  });

  test.each(['linux', '', 'linux/', 'linux/amd64/v1/x', 'linux/am d64'])('%j is refused', (text) => {
    expect(refusalOf(() => parsePlatform(text)).code).toBe('PLATFORM_INVALID');
  });

  test('a layer’s media type tells its compression', () => {
    expect(layerCompression(MediaType.ociLayerGzip)).toBe('gzip');
    expect(layerCompression(MediaType.dockerLayer)).toBe('none');
    expect(layerCompression('application/vnd.wasm')).toBeUndefined();
  });
});
