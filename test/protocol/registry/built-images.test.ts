/**
 * Images as this builder makes them beyond the plain ones, taken by the clients people use: with attestations, which skopeo
 * copies and podman leaves, and with layers in eStargz.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { resolveImage } from '../../../lib/engine/agent/image-source.js';
import { digestHex } from '../../../lib/oci/index.js';
import { checkImage } from '../../../lib/platform/image-check.js';
import { buildFixture, type BuildFixture } from '../../build/fixture.js';
import { requireTools } from '../../host-tools.js';
import { type RunningRegistry, startTestRegistry } from './registry-server.js';

const execute = promisify(execFile);
let folder: string;
let f: BuildFixture;
let registry: RunningRegistry;
let imageId: string;
/** Of the image whose layer is an eStargz. */
let lazy: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wharf-attested-'));
  await writeFile(join(folder, 'auth.json'), '{}');
  f = await buildFixture();
  registry = await startTestRegistry(f.store);
  const files = { Dockerfile: 'FROM scratch\nCOPY a /\nCMD ["/a"]', a: 'A' };
  for (const [tag, ociArtifact] of [
    ['app:artifact', true],
    ['app:image', false],
  ] as const) {
    const { result } = await f.build(files, {
      tags: [tag],
      attestations: { provenance: { mode: 'max' }, ociArtifact },
    });
    imageId = result.imageId;
  }
  lazy = (await f.build(files, { tags: ['app:estargz'], compression: { type: 'estargz', level: 9 } })).result.imageId;
});
afterAll(async () => {
  await registry.close();
  await f.close();
  await rm(folder, { recursive: true, force: true });
});

async function run(command: string, ...args: readonly string[]): Promise<string> {
  const REGISTRY_AUTH_FILE = join(folder, 'auth.json');
  return (await execute(command, args, { env: { ...process.env, REGISTRY_AUTH_FILE } })).stdout.trim();
}
const at = (name: string): string => `docker://${registry.host}/${name}`;
const creds = (): string => `wharf:${registry.tokens.admin}`;

describe('the engine and the control plane', () => {
  const other = { os: 'linux', architecture: 'arm64' } as const;
  const deps = () => ({ images: f.registry, content: f.store.content });

  test.each(['artifact', 'image'])('take the image out of an index with attestations as %s', async (tag) => {
    const platform = { os: 'linux', architecture: 'amd64' } as const;
    const index = await f.registry.manifest('app', { tag });
    const { manifests } = JSON.parse(String(index?.bytes)) as { manifests: { digest: string }[] };
    const options = { platform, isLocalRegistry: () => false };
    expect(await resolveImage(deps(), options, `app:${tag}`)).toMatchObject({ configDigest: imageId });
    expect((await checkImage(deps(), { platform }, `app:${tag}`)).digest).toBe(manifests[0]?.digest);
  });

  test('name only platforms that can run when there is none that fits', async () => {
    const options = { platform: other, isLocalRegistry: () => false };
    await expect(resolveImage(deps(), options, 'app:artifact')).rejects.toThrow('(it has linux/amd64)');
    await expect(checkImage(deps(), { platform: other }, 'app:artifact')).rejects.toThrow(/is for linux\/amd64;/);
  });
});

requireTools('skopeo').describe('skopeo', () => {
  test.each(['artifact', 'image'])('reads and copies an index with its attestations as %s', async (tag) => {
    const inspect = ['inspect', '--tls-verify=false', '--creds', creds()];
    const index = JSON.parse(await run('skopeo', ...inspect, '--raw', at(`app:${tag}`)));
    expect(index.manifests).toHaveLength(2);
    expect(JSON.parse(await run('skopeo', ...inspect, at(`app:${tag}`)))).toMatchObject({ Architecture: 'amd64' });
    const copy = ['copy', '--all', '--src-tls-verify=false', '--src-creds', creds(), '--dest-tls-verify=false'];
    await run('skopeo', ...copy, '--dest-creds', creds(), at(`app:${tag}`), at(`copy:${tag}`));
    const copied = await f.registry.manifest('copy', { tag });
    expect(copied?.digest).toBe((await f.registry.manifest('app', { tag }))?.digest);
  });
});

requireTools('podman', 'root').describe('podman', () => {
  const podman = (...args: string[]): Promise<string> => {
    const place = (name: string): string => join(folder, 'podman', name);
    const own = ['--root', place('root'), '--runroot', place('run'), '--tmpdir', place('tmp')];
    return run('podman', ...own, '--storage-driver', 'vfs', '--events-backend', 'none', ...args);
  };

  test.each(['artifact', 'image'])(
    'pulls the image out of an index with attestations as %s',
    async (tag) => {
      const pull = ['pull', '-q', '--tls-verify=false', '--creds', creds()];
      expect(await podman(...pull, `${registry.host}/app:${tag}`)).toBe(digestHex(imageId as never));
      await podman('rmi', '-a', '-f');
    },
    60_000,
  );

  test('pulls layers in eStargz, whose annotations are in the manifest', async () => {
    const stored = await f.registry.manifest('app', { tag: 'estargz' });
    const { layers } = JSON.parse(String(stored?.bytes)) as { layers: { annotations: Record<string, string> }[] };
    expect(layers[0]?.annotations).toEqual({
      'containerd.io/snapshot/stargz/toc.digest': expect.stringMatching(/^sha256:/),
      'io.containers.estargz.uncompressed-size': expect.stringMatching(/^\d+$/),
    });
    const pull = ['pull', '-q', '--tls-verify=false', '--creds', creds()];
    const id = await podman(...pull, `${registry.host}/app:estargz`);
    expect(id).toBe(digestHex(lazy as never));
    const mounted = await podman('image', 'mount', id);
    expect(await readFile(join(mounted, 'a'), 'utf8')).toBe('A');
    await podman('image', 'unmount', '-f', id);
    await podman('rmi', '-a', '-f');
  }, 60_000);
});
