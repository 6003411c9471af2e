/** What a build makes beside its image, by the builder function: provenance, an SBOM, a cache for other builders. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Build, RemoteImages } from '../../lib/build/index.js';
import { writeTar } from '../../lib/layers/index.js';
import { type BuildFixture, buildFixture, type Files, membersOf } from '../build/fixture.js';
import { requireTools } from '../host-tools.js';
import { type CncfRegistry, startCncfRegistry } from '../protocol/registry/cncf-registry.js';
import { Wire } from '../protocol/registry/wire.js';
import { buildImage, clientOf } from './builds.js';
import { ADMIN_TOKEN, type Cloud } from './cloud.js';

const FILES = { Dockerfile: 'FROM scratch\nCOPY src /in/src\nCOPY own /own\n', src: 'source', own: 'own' };

export function supplyChainSuite(cloud: () => Cloud): void {
  /** One build as curl sends it, and the builder function after it. */
  async function built(query: Readonly<Record<string, string>>, settings: Record<string, string> = {}): Promise<Build> {
    const response = await fetch(`${cloud().gateway.url}/v1/builds?${new URLSearchParams(query).toString()}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/x-tar' },
      body: new Blob([new Uint8Array(await tarOf(FILES))]),
    });
    const { id } = (await response.json()) as { readonly id: string };
    const builder = cloud().another('builder', settings);
    try {
      for (const event of await cloud().takeBuildEvents()) await builder.invoke(event);
    } finally {
      await builder.close();
    }
    return clientOf(cloud()).builds.get(id);
  }

  async function json(path: string): Promise<unknown> {
    const wire = new Wire({ url: cloud().gateway.url, tokens: { admin: ADMIN_TOKEN, deploy: '', read: '' } });
    return JSON.parse((await wire.send('GET', `/v2/team/${path}`)).bytes.toString());
  }

  describe('the builder function, asked for more than an image', () => {
    test('attests the provenance of the image, which the registry function serves beside it', async () => {
      const { status, result } = await built({ tag: 'team/attested:1', attest: 'type=provenance,mode=max' });
      expect(status).toBe('succeeded');
      const index = (await json('attested/manifests/1')) as { manifests: { digest: string; platform: object }[] };
      expect(index.manifests.map(({ platform }) => platform)).toMatchObject([
        { architecture: 'arm64', os: 'linux' },
        { architecture: 'unknown', os: 'unknown' },
      ]);
      const [image, attested] = index.manifests;
      expect(attested?.digest).toBe(result?.platforms?.[0]?.attestations);
      const manifest = (await json(`attested/manifests/${attested?.digest}`)) as { layers: { digest: string }[] };
      expect(await json(`attested/blobs/${manifest.layers[0]?.digest}`)).toMatchObject({
        predicateType: 'https://slsa.dev/provenance/v1',
        subject: [{ digest: { sha256: image?.digest.replace('sha256:', '') } }],
      });
    });

    test('has an SBOM made by a worker, since its scanner is run', async () => {
      await buildImage(cloud(), 'team/scanner:1', 'a scanner');
      await buildImage(cloud(), 'team/worker:1', 'a worker');
      const asked = { tag: 'team/scanned:1', attest: 'type=sbom,generator=team/scanner:1' };
      const { status, id } = await built(asked, { WHARF_WORKER_IMAGE: 'team/worker:1' });
      expect(status).toBe('running');
      const run = cloud().ecs.calls.findLast(({ operation }) => operation === 'RunTask');
      expect(run?.input).toMatchObject({ startedBy: id });
      await clientOf(cloud()).builds.cancel(id);
    });
  });

  requireTools('docker-registry').describe('a cache at another registry', () => {
    let cncf: CncfRegistry;
    let elsewhere: BuildFixture;
    beforeAll(async () => {
      cncf = await startCncfRegistry();
      elsewhere = await buildFixture({ remote: ({ content, clock }) => new RemoteImages({ content, clock }) });
    });
    afterAll(async () => {
      await elsewhere.close();
      await cncf.close();
    });

    test('is written by the builder function, and gives a builder elsewhere all its steps', async () => {
      const ref = `${cncf.host}/team/cache:1`;
      const made = await built({ tag: 'team/cached:1', 'cache-to': `type=registry,ref=${ref},mode=max` });
      expect([made.status, made.error]).toEqual(['succeeded', undefined]);
      expect(made.result?.caches).toEqual([
        { type: 'registry', ref, digest: expect.stringMatching(/^sha256:/), steps: 2 },
      ]);
      const platforms = ['linux/arm64'];
      const { result } = await elsewhere.build(FILES, { platforms, cacheFrom: [{ type: 'registry', ref }] });
      expect(result.steps.map(({ importedFrom }) => importedFrom)).toEqual([ref, ref]);
    });
  });
}

async function tarOf(files: Files): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of writeTar(membersOf(files))) chunks.push(chunk);
  return Buffer.concat(chunks);
}
