/** SBOMs by a scanner that speaks BuildKit's protocol: a shell script in an image that this builder made. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type BuildRequest, builtArchive } from '../../lib/build/index.js';
import { readTar } from '../../lib/layers/index.js';
import { type Digest, digestOf, parseManifestDocument } from '../../lib/oci/index.js';
import { requireTools } from '../host-tools.js';
import { BuilderHost, SMALL_MEMORY } from './builder-host.js';
import { type BuildFixture, type Built, failure } from './fixture.js';

/** Lists the files of each root folder as a statement of its own. */
const SCANNER = `FROM busybox
WORKDIR /scanner
COPY --chmod=755 <<"scan" /scanner/scan
#!/bin/sh
set -e
describe() {
  files=$(cd "$1" && find . -type f | sort | tr '\\n' ' ')
  printf '{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document","predicate":{"name":"%s","files":"%s","depth":"%s"}}' \\
    "$(basename "$1")" "$files" "$BUILDKIT_SCAN_DEPTH" > "$BUILDKIT_SCAN_DESTINATION/$(basename "$1").spdx.json"
}
( : > "$BUILDKIT_SCAN_SOURCE/written" ) 2>/dev/null && exit 9
: > /tmp/scratch
describe "$BUILDKIT_SCAN_SOURCE"
for extra in \${BUILDKIT_SCAN_SOURCE_EXTRAS:+"$BUILDKIT_SCAN_SOURCE_EXTRAS"*}; do describe "$extra"; done
scan
ENTRYPOINT ["/scanner/scan"]
`;

requireTools('root', 'runc', 'bridge').describe('an SBOM', () => {
  let f: BuildFixture;
  let host: BuilderHost;

  beforeAll(async () => {
    host = await BuilderHost.open();
    f = await host.builder({ sandbox: SMALL_MEMORY, hasNetwork: true });
    await f.build({ Dockerfile: SCANNER }, { tags: ['scanner:1'] });
  });
  afterAll(() => host.close());

  const sbom = { generator: 'scanner:1' };
  const scan = (Dockerfile: string, more: Partial<BuildRequest> = {}): Promise<Built> =>
    f.build({ Dockerfile, a: 'A', b: 'B' }, { attestations: { sbom }, ...more });

  async function statementsOf({ result }: Built, i = 0) {
    const digest = result.platforms?.[i]?.attestations ?? ('' as Digest);
    const stored = await f.registry.manifest('app', { digest });
    const document = parseManifestDocument(stored?.bytes ?? Buffer.alloc(0), stored?.mediaType ?? '');
    if (document.kind !== 'manifest') throw new Error('no manifest');
    const blobs = document.manifest.layers.map((layer) => f.store.content.read(layer.digest));
    return (await Promise.all(blobs)).map((bytes) => JSON.parse(String(bytes)));
  }

  test('is what the scanner says of the image, about the image, and before its provenance', async () => {
    const attestations = { sbom: { ...sbom, parameters: { DEPTH: '3' } }, provenance: {} };
    const built = await scan('FROM scratch\nCOPY a b /files/', { attestations });
    const [found, provenance, ...others] = await statementsOf(built);
    expect(others).toEqual([]);
    const sha256 = built.result.platforms?.[0]?.digest.replace('sha256:', '');
    expect(found).toEqual({
      _type: 'https://in-toto.io/Statement/v1',
      predicateType: 'https://spdx.dev/Document',
      subject: [{ name: 'pkg:docker/app@latest?platform=linux%2Famd64', digest: { sha256 } }],
      predicate: { name: 'sbom', files: './files/a ./files/b ', depth: '3' },
    });
    const { resolvedDependencies } = provenance.predicate.buildDefinition;
    expect(resolvedDependencies).toMatchObject([{ uri: 'pkg:docker/scanner@1?platform=linux%2Famd64' }]);
    const { layers } = built.result;
    expect(layers.map(({ digest }) => digest)).toEqual(
      (await f.build({ Dockerfile: 'FROM scratch\nCOPY a b /files/', a: 'A', b: 'B' })).result.layers.map(
        ({ digest }) => digest,
      ),
    );
  });

  test('comes from the cache while image and scanner are the same, with the same digest', async () => {
    const first = await scan('FROM scratch\nCOPY a /');
    const again = await scan('FROM scratch\nCOPY a /');
    expect(first.result.steps.map(({ name, instruction }) => `${name} ${instruction}`)).toEqual([
      '[1/1] COPY a /',
      '[sbom 1/2] WORKDIR /run/out',
      '[sbom 2/2] SBOM by scanner:1',
    ]);
    expect([again.result.stepsCached, again.result.digest]).toEqual([3, first.result.digest]);
    expect((await scan('FROM scratch\nCOPY b /')).result.steps.at(-1)?.cached).toBe(false);
  });

  test('is made of stages and the context as well, where arguments say so', async () => {
    const lines = [
      'ARG BUILDKIT_SBOM_SCAN_CONTEXT=true',
      'FROM scratch AS one',
      'ARG BUILDKIT_SBOM_SCAN_STAGE=1',
      'COPY a /one',
      'FROM scratch AS two',
      'COPY a /two',
      'FROM scratch',
      'COPY --from=one /one /',
      'COPY --from=two /two /',
    ];
    const built = await scan(lines.join('\n'));
    const found = await statementsOf(built);
    expect(found.map(({ predicate }) => `${predicate.name}: ${predicate.files}`)).toEqual([
      'sbom: ./one ./two ',
      'sbom-context: ./Dockerfile ./a ./b ',
      'sbom-one: ./one ',
    ]);
    // Beside the files of a root folder each has the name that the scanner gave it.
    const deps = { images: f.registry, content: f.store.content, indexes: f.indexes };
    const { result } = built;
    const build = { id: 'b', status: 'succeeded', request: { context: digestOf(''), tags: ['app'] }, result } as const;
    const names: string[] = [];
    for await (const { entry } of readTar(await builtArchive(deps, build, { format: 'rootfs' })))
      names.push(entry.path);
    const scans = ['sbom.spdx.json', 'sbom-context.spdx.json', 'sbom-one.spdx.json'];
    expect(names).toEqual(['one', 'two', ...scans]);
    const args = { BUILDKIT_SBOM_SCAN_CONTEXT: 'false' };
    expect(await statementsOf(await scan(lines.join('\n'), { args }))).toHaveLength(2);
  });

  test('is made for each platform by the scanner of this one', async () => {
    const built = await scan('FROM scratch\nARG TARGETARCH\nCOPY a /$TARGETARCH', {
      platforms: ['linux/amd64', 'linux/arm64'],
    });
    const files = await Promise.all([0, 1].map(async (i) => (await statementsOf(built, i))[0].predicate.files));
    expect(files).toEqual(['./amd64 ', './arm64 ']);
  });

  test('is refused for a scanner that is not there, has no command, fails, or leaves no statement', async () => {
    const by = async (generator: string): Promise<unknown[]> => {
      const error = await failure(scan('FROM scratch\nCOPY a /', { attestations: { sbom: { generator } } }));
      return [error.code, error.message];
    };
    expect(await by('nowhere:1')).toEqual(['BUILD_BASE_UNKNOWN', expect.stringMatching(/^the SBOM generator: /)]);
    await f.build({ Dockerfile: 'FROM scratch\nCOPY a /', a: '' }, { tags: ['mute'] });
    expect(await by('mute')).toEqual(['BUILD_SBOM_GENERATOR', expect.stringContaining('mute')]);
    const scanner = (script: string) =>
      f.build(
        { Dockerfile: `FROM busybox\nENTRYPOINT ["/bin/sh", "-c", ${JSON.stringify(script)}]` },
        { tags: ['odd'] },
      );
    await scanner('exit 3');
    expect(await by('odd')).toEqual(['BUILD_RUN_FAILED', expect.stringMatching(/^Dockerfile:1:1: .*exit code 3/)]);
    await scanner('true');
    expect(await by('odd')).toEqual(['BUILD_SBOM_INVALID', expect.any(String)]);
    await scanner('ln -s /etc/passwd /run/out/sbom.spdx.json');
    expect(await by('odd')).toEqual(['BUILD_SBOM_INVALID', expect.stringContaining('symlink')]);
    await scanner(`echo '{"predicateType":"https://slsa.dev/provenance/v1","predicate":{}}' > /run/out/x.json`);
    expect(await by('odd')).toEqual(['BUILD_SBOM_INVALID', expect.stringContaining('provenance')]);
  });
});
