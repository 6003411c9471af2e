/** Provenance: what it says in each mode, how it is stored beside the image, and that it changes nothing of the image. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { BuildAttestations, BuildRequest } from '../../lib/build/index.js';
import { imageUrl } from '../../lib/build/attest/image-url.js';
import { attestationsOf } from '../../lib/http/text/index.js';
import {
  type Descriptor,
  type Digest,
  digestHex,
  digestOf,
  parseManifestDocument,
  parseReference,
} from '../../lib/oci/index.js';
import { buildFixture, type BuildFixture, type Built, failure, textOf } from './fixture.js';
import { startWebServer, type WebServer } from './remote-server.js';

let f: BuildFixture;
let web: WebServer;

beforeEach(async () => {
  web = await startWebServer();
  web.files.set('/tool', { body: 'tool' });
  f = await buildFixture({ fetching: { egress: { allow: ['127.0.0.0/8'] } } });
  await f.push('base:1', { 'etc/': {}, 'etc/name': 'base' });
});
afterEach(async () => {
  await f.close();
  await web.close();
});

const Dockerfile = (): string =>
  [
    'FROM base:1 AS tools',
    `ADD ${web.url}/tool?signature=abc /tool`,
    'FROM base:1',
    'ARG VERSION',
    'LABEL made=here',
    'WORKDIR /srv',
    'COPY --from=tools --chown=1:2 /tool /srv/tool',
    'COPY a <<version /srv/',
    '$VERSION',
    'version',
  ].join('\n');
const files = () => ({ Dockerfile: Dockerfile(), a: 'A' });
const request = { args: { VERSION: '1.2', HTTP_PROXY: 'http://me:pass@proxy:1' }, labels: { team: 'x' } };

const build = (attestations: BuildAttestations, more: Partial<BuildRequest> = {}): Promise<Built> =>
  f.build(files(), { ...request, attestations, ...more });

async function document(digest: Digest) {
  const stored = await f.registry.manifest('app', { digest });
  return parseManifestDocument(stored?.bytes ?? Buffer.alloc(0), stored?.mediaType ?? '');
}

async function entriesOf({ result }: Built): Promise<readonly Descriptor[]> {
  const index = await document(result.digest);
  if (index.kind !== 'index') throw new Error('no index');
  return index.index.manifests;
}

async function manifestOf(digest: Digest | undefined) {
  if (digest === undefined) throw new Error('no digest');
  const found = await document(digest);
  if (found.kind !== 'manifest') throw new Error('no manifest');
  return found.manifest;
}

async function statementOf(built: Built, i = 0) {
  const { layers } = await manifestOf(built.result.platforms?.[i]?.attestations);
  const bytes = await f.store.content.read(layers[0]?.digest ?? ('' as Digest));
  return JSON.parse(bytes?.toString() ?? '');
}

describe('provenance', () => {
  test('is a manifest of the index, for the image and under a platform nobody runs', async () => {
    const built = await build({ provenance: {} });
    const [image, attested, ...others] = await entriesOf(built);
    expect(others).toEqual([]);
    expect(image?.platform).toEqual({ architecture: 'amd64', os: 'linux' });
    expect(attested).toEqual({
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: built.result.platforms?.[0]?.attestations,
      size: expect.any(Number),
      annotations: {
        'vnd.docker.reference.digest': image?.digest,
        'vnd.docker.reference.type': 'attestation-manifest',
      },
      platform: { architecture: 'unknown', os: 'unknown' },
    });
    const manifest = await manifestOf(attested?.digest);
    expect(manifest).toMatchObject({
      artifactType: 'application/vnd.docker.attestation.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.empty.v1+json', size: 2, data: 'e30=' },
      subject: { digest: image?.digest, size: image?.size },
      layers: [
        {
          mediaType: 'application/vnd.in-toto+json',
          annotations: { 'in-toto.io/predicate-type': 'https://slsa.dev/provenance/v1' },
        },
      ],
    });
    const plain = await build({ provenance: {}, ociArtifact: false });
    const imageLike = await manifestOf(plain.result.platforms?.[0]?.attestations);
    expect([imageLike.subject, imageLike.artifactType]).toEqual([undefined, undefined]);
    expect(await f.config(imageLike.config.digest)).toEqual({
      architecture: 'unknown',
      os: 'unknown',
      config: {},
      rootfs: { type: 'layers', diff_ids: [imageLike.layers[0]?.digest] },
    });
  });

  test('says in min what was built from what and when, and nothing of what it was given', async () => {
    const base = await f.registry.manifest('base', { tag: '1' });
    const built = await build({ provenance: {} });
    const { subject, predicate, predicateType, _type } = await statementOf(built);
    expect([_type, predicateType]).toEqual(['https://in-toto.io/Statement/v1', 'https://slsa.dev/provenance/v1']);
    const digest = { sha256: built.result.platforms?.[0]?.digest.replace('sha256:', '') };
    expect(subject).toEqual([{ name: 'pkg:docker/app@latest?platform=linux%2Famd64', digest }]);
    expect(predicate.buildDefinition).toEqual({
      buildType: 'https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md',
      externalParameters: {
        configSource: { path: 'Dockerfile' },
        request: { frontend: 'dockerfile.v0', locals: [{ name: 'context' }, { name: 'dockerfile' }] },
      },
      internalParameters: { builderPlatform: 'linux/amd64' },
      resolvedDependencies: [
        {
          uri: 'pkg:docker/base@1?platform=linux%2Famd64',
          digest: { sha256: base?.digest.replace('sha256:', '') },
        },
        {
          uri: `${web.url}/tool`,
          digest: { sha256: digestHex(digestOf(Buffer.from('tool'))) },
        },
      ],
    });
    expect(predicate.runDetails).toEqual({
      builder: { id: '' },
      metadata: {
        invocationId: expect.stringMatching(/^[0-9A-Z]{26}$/),
        startedOn: expect.stringMatching(/^20\d\d-/),
        finishedOn: expect.stringMatching(/^20\d\d-/),
        buildkit_metadata: {},
        buildkit_completeness: { request: false, resolvedDependencies: false },
      },
    });
  });

  test('has arguments, labels, the Dockerfile and the steps in max, and no password of a proxy', async () => {
    const run = { network: 'none', hosts: { db: '10.0.0.1' }, shmBytes: 64 } as const;
    const wanted = { provenance: { mode: 'max', builderId: 'https://ci/1', reproducible: true } } as const;
    const built = await build(wanted, { run });
    const { predicate } = await statementOf(built);
    const { externalParameters, internalParameters, resolvedDependencies } = predicate.buildDefinition;
    expect(externalParameters.request.args).toEqual({
      'add-hosts': 'db=10.0.0.1',
      'force-network-mode': 'none',
      'shm-size': '64',
      'build-arg:HTTP_PROXY': 'http://xxxxx:xxxxx@proxy:1',
      'build-arg:VERSION': '1.2',
      'label:team': 'x',
    });
    expect(resolvedDependencies[1].uri).toBe(`${web.url}/tool?signature=abc`);
    const { builder, metadata } = predicate.runDetails;
    expect(builder.id).toBe('https://ci/1');
    expect(metadata).toMatchObject({ buildkit_reproducible: true, buildkit_completeness: { request: true } });
    const { source, layers } = metadata.buildkit_metadata;
    expect(Buffer.from(source.infos[0].data, 'base64').toString()).toBe(Dockerfile());
    const steps = internalParameters.buildConfig.llbDefinition;
    const source0 = steps[0].op.Op.source.identifier;
    expect(source0).toMatch(/^docker-image:\/\/docker\.io\/library\/base:1@sha256:/);
    expect(
      steps.map(({ id, inputs = [], op }: { id: string; inputs?: string[]; op: { Op: object } }) =>
        [id, Object.keys(op.Op)[0], ...inputs].join(' '),
      ),
    ).toEqual([
      'step0 source',
      'step1 file step0:0',
      'step2 source',
      'step3 file step0:0 step2:0',
      'step4 file step1:0 step3:0',
      'step5 source',
      'step6 file step4:0 step5:0',
      'step7  step6:0',
    ]);
    const [copy, inline] = steps[6].op.Op.file.actions;
    expect([copy.input, copy.secondaryInput, copy.output]).toEqual([0, 1, -1]);
    expect([inline.input, inline.secondaryInput, inline.output]).toEqual([2, -1, 0]);
    expect(Buffer.from(inline.Action.mkfile.data, 'base64').toString()).toBe('1.2\n');
    expect(source.locations.step6.locations[0].ranges).toEqual([{ start: { line: 8 }, end: { line: 10 } }]);
    const digests = built.result.layers.map(({ digest }) => digest);
    const of = (step: string): string[] => layers[step][0].map(({ digest }: { digest: string }) => digest);
    expect(of('step0:0')).toEqual(digests.slice(0, 1));
    expect(of('step6:0')).toEqual(digests);
  });

  test('masks what a secret of the build is, also where the form is base64', async () => {
    const text = 'FROM scratch\nARG WORD\nCOPY <<note /n\nthe word is s3cr3t-value\nnote\n';
    const attestations = { provenance: { mode: 'max' } } as const;
    const secrets = new Map([['tok', 's3cr3t-value']]);
    const wanted = { attestations, args: { WORD: 's3cr3t-value' } };
    const built = await f.build({ Dockerfile: text }, wanted, undefined, secrets);
    const { predicate } = await statementOf(built);
    const { internalParameters, externalParameters } = predicate.buildDefinition;
    const { data } = internalParameters.buildConfig.llbDefinition[0].op.Op.file.actions[0].Action.mkfile;
    const source: string = predicate.runDetails.metadata.buildkit_metadata.source.infos[0].data;
    const plain = [data, source].map((each) => Buffer.from(each, 'base64').toString());
    expect(plain).toEqual(['the word is ***\n', text.replace('s3cr3t-value', '***')]);
    expect(externalParameters.request.args).toEqual({ 'build-arg:WORD': '***' });
  });

  test('leaves the image as it is without, and what is built on it', async () => {
    const plain = await f.build(files(), request);
    const first = await build({ provenance: { mode: 'max' } });
    const again = await build({ provenance: { mode: 'max' } });
    const image = plain.result.digest;
    expect([first, again].map(({ result }) => result.platforms?.[0]?.digest)).toEqual([image, image]);
    expect(again.result.stepsCached).toBe(again.result.steps.length);
    // They were two builds, and their provenance says so.
    expect(again.result.digest).not.toBe(first.result.digest);
    const onTop = await f.build({ Dockerfile: 'FROM app\nCOPY a /b', a: 'B' }, { tags: ['top'] });
    expect(await textOf(await f.tree(onTop.result.digest, 'top'), 'srv/version')).toBe('1.2\n');
  });

  test('is there for each platform, after all images', async () => {
    const platforms = ['linux/amd64', 'linux/arm64'];
    const built = await f.build(
      { Dockerfile: 'FROM scratch\nCOPY a /', a: 'A' },
      { platforms, attestations: { provenance: {} }, tags: ['app:1', 'app:2'] },
    );
    const entries = await entriesOf(built);
    expect(entries.map(({ platform }) => platform?.architecture)).toEqual(['amd64', 'arm64', 'unknown', 'unknown']);
    const { subject } = await statementOf(built, 1);
    expect(subject.map(({ name }: { name: string }) => name)).toEqual([
      'pkg:docker/app@1?platform=linux%2Farm64',
      'pkg:docker/app@2?platform=linux%2Farm64',
    ]);
    const nameless = await f.build(
      { Dockerfile: 'FROM scratch\nCOPY a /', a: 'A' },
      { attestations: { provenance: {} }, tags: [] },
    );
    expect(await f.store.content.read(nameless.result.platforms?.[0]?.attestations ?? ('' as Digest))).toBeDefined();
  });
});

test('package URLs of images are those of BuildKit', () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const url = (text: string): string => imageUrl(parseReference(text));
  expect(url('alpine')).toBe('pkg:docker/alpine@latest');
  expect(url('docker.io/library/alpine:3.15')).toBe('pkg:docker/alpine@3.15');
  expect(url(`docker.io/library/alpine@${digest}`)).toBe(`pkg:docker/alpine?digest=${digest}`);
  expect(url('ghcr.io/foo/bar')).toBe('pkg:docker/ghcr.io/foo/bar@latest');
  expect(url('localhost:5000/foo/bar:v2')).toBe('pkg:docker/localhost:5000/foo/bar@v2');
  expect(imageUrl(parseReference('busybox'), { os: 'linux', architecture: 'arm', variant: 'v7' })).toBe(
    'pkg:docker/busybox@latest?platform=linux%2Farm%2Fv7',
  );
});

test('the short form of attestations is that of docker', async () => {
  expect(attestationsOf(['type=provenance,mode=max,version=v1,builder-id=https://ci/1'])).toEqual({
    provenance: { mode: 'max', builderId: 'https://ci/1' },
  });
  expect(attestationsOf(['type=provenance,disabled=true'])).toEqual({});
  expect(attestationsOf(['type=provenance,oci-artifact=false'])).toEqual({ provenance: {}, ociArtifact: false });
  const refused = [
    'type=provenance,version=v0.2',
    'type=provenance,mode=most',
    'type=provenance,colour=red',
    'type=scorecard',
    'provenance',
  ];
  for (const text of refused) {
    const error = await failure(Promise.resolve().then(() => attestationsOf([text])));
    expect([error.code, error.hint]).toEqual(['ATTESTATION_INVALID', expect.stringMatching(/\w/)]);
  }
});
