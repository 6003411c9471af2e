/** Caches of other registries by functions: the API takes them, a build fetches, and the registry serves what is held. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { requireTools } from '../host-tools.js';
import { type CncfRegistry, startCncfRegistry } from '../protocol/registry/cncf-registry.js';
import { type TestLayout, writeLayout } from '../protocol/registry/oci-layout.js';
import { Wire, type WireResponse } from '../protocol/registry/wire.js';
import { clientOf, submit } from './builds.js';
import { ADMIN_TOKEN, type Cloud } from './cloud.js';

const IMAGE = 'hub/team/app';

export function cacheSuite(cloud: () => Cloud): void {
  requireTools('docker-registry', 'htpasswd', 'skopeo').describe('a cache of another registry', () => {
    let folder: string;
    let upstream: CncfRegistry;
    let layout: TestLayout;
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'wharf-cloud-cache-'));
      [upstream, layout] = await Promise.all([startCncfRegistry(), writeLayout(folder)]);
      const there = `docker://${upstream.host}/team/app:1`;
      execFileSync('skopeo', ['copy', '--all', '--dest-tls-verify=false', layout.index, there], { stdio: 'ignore' });
      await clientOf(cloud()).registry.upstreams.put('hub', { registry: upstream.host });
    });
    afterAll(async () => {
      await upstream.close();
      await rm(folder, { recursive: true });
    });

    const get = (path: string): Promise<WireResponse> =>
      new Wire({ url: cloud().gateway.url, tokens: { admin: ADMIN_TOKEN, deploy: '', read: '' } }).send('GET', path);

    test('is refused by name while nothing is held, and takes no push', async () => {
      // One that asked for upstreams before knows them for some seconds.
      for (let tries = 0; tries < 100; tries += 1) {
        if ((await get(`/v2/${IMAGE}/manifests/1`)).bytes.toString().includes('RegistryFront')) break;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      for (const what of ['manifests/1', `blobs/${layout.config}`]) {
        const refused = await get(`/v2/${IMAGE}/${what}`);
        expect([refused.status, refused.bytes.toString()]).toEqual([404, expect.stringContaining('RegistryFront')]);
      }
      const push = await fetch(`${cloud().gateway.url}/v2/${IMAGE}/blobs/uploads/`, {
        method: 'POST',
        headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
      });
      expect(push.status).toBe(405);
    });

    test('is filled by a build FROM it, and then read without its upstream', async () => {
      const { id, event } = await submit(cloud(), { Dockerfile: `FROM ${IMAGE}:1\nENV A=b\n` }, 'team/derived:1');
      // One that asked for upstreams before knows them for some seconds.
      const builder = cloud().another('builder');
      try {
        await builder.invoke(event);
      } finally {
        await builder.close();
      }
      const { status, error } = await clientOf(cloud()).builds.get(id);
      expect([status, error]).toEqual(['succeeded', undefined]);
      await upstream.kill();
      const index = await get(`/v2/${IMAGE}/manifests/1`);
      expect(index.status).toBe(200);
      const { manifests } = JSON.parse(index.bytes.toString()) as {
        manifests: { digest: string; platform: { architecture: string } }[];
      };
      const built = manifests.find(({ platform }) => platform.architecture === 'arm64');
      const image = await get(`/v2/${IMAGE}/manifests/${built?.digest}`);
      const { config, layers } = JSON.parse(image.bytes.toString()) as {
        config: { digest: string };
        layers: { digest: string }[];
      };
      for (const { digest } of [config, ...layers]) {
        expect([digest, (await get(`/v2/${IMAGE}/blobs/${digest}`)).status]).toEqual([digest, 200]);
      }
      await upstream.start();
    });

    test('is looked up anew when the API is asked to', async () => {
      execFileSync(
        'skopeo',
        ['copy', '--dest-tls-verify=false', layout.image, `docker://${upstream.host}/team/app:1`],
        { stdio: 'ignore' },
      );
      const refreshed = await clientOf(cloud()).registry.refresh(`${IMAGE}:1`);
      expect(refreshed).toMatchObject({ digest: layout.manifest, changed: true });
      expect((await get(`/v2/${IMAGE}/manifests/1`)).headers.get('docker-content-digest')).toBe(layout.manifest);
    });
  });
}
