/**
 * Layers whose digests BuildKit publishes (moby/buildkit, client/testdata/compatibility: manifest.json, config.json;
 * contents by client/compatibility_test.go). Every entry is owned by root and dated 1445412480; folders are 0755.
 */
export interface GoldenLayer {
  readonly name: string;
  /** Path → content and mode; a path that ends in `/` is a folder. */
  readonly entries: Readonly<Record<string, { readonly content?: string; readonly mode?: number }>>;
  readonly diffId: string;
  /** Digest of the blob made by gzip level 0. */
  readonly gzip0?: string;
}

export const GOLDEN_EPOCH = 1445412480;

const inputs = (gitMode: number): GoldenLayer['entries'] => ({
  'inputs/': {},
  'inputs/git/': {},
  'inputs/git/git.txt': { content: 'git fixture\n', mode: gitMode },
  'inputs/git/nested.txt': { content: 'nested fixture\n', mode: gitMode },
  'inputs/http.txt': { content: 'http fixture\n', mode: 0o600 },
  'inputs/llb.txt': { content: 'llb fixture\n' },
});

export const GOLDEN_LAYERS: readonly GoldenLayer[] = [
  {
    name: 'base',
    entries: { 'base/': {}, 'base/base.txt': { content: 'compatibility base\n' }, 'proc/': {}, 'sys/': {} },
    diffId: 'sha256:007165e99d6304af5653e8a8cc1c8886e5719cf31bf09cbd9f50fa09008ef654',
    gzip0: 'sha256:426dfb571c2a1f52cb66e0a69fbe2348348afc4ba893cba5754a841882d91773',
  },
  {
    name: 'inputs, compatibility 20 and 30',
    entries: inputs(0o644),
    diffId: 'sha256:9228085939d1444bd500ac8a4f8ee9d39fed1e5905da0968ffed61887ab41042',
    gzip0: 'sha256:5c3240cc0bcdc46a4ff085359eba4d0ffe7e5e161c5f376e79f2264719041668',
  },
  {
    name: 'inputs, compatibility 10',
    entries: inputs(0o666),
    diffId: 'sha256:78260322e6ea253e5f3f675b3140ebe95ae8fc7e0ac2b1b3b88f1c8fc83525ce',
    gzip0: 'sha256:32b77f982cd1e1e83523fc65841d82dd0d925872e3dee6bd508ff81b157864c9',
  },
  {
    name: 'generated',
    entries: {
      'generated/': {},
      'generated/deeper/': {},
      'generated/deeper/nested.txt': { content: 'nested-exec\n' },
      'generated/exec.txt': { content: 'exec-fixture\n' },
    },
    diffId: 'sha256:672c0da84adab23797eebbf41315e289f03b02e266bdd6f6e88a7736583a4466',
    gzip0: 'sha256:847e9b228e5b81db2fe943892d3602808b8f94ec498afe963a23bf8ab1d39a26',
  },
];

/** Manifests of whole images over these layers (gzip level 0), above a pinned busybox whose layer is not here. */
export const GOLDEN_MANIFESTS = [
  {
    name: 'compatibility 20 and 30',
    inputs: 'inputs, compatibility 20 and 30',
    config: 'sha256:1772fd0a3b45a62fc5e23737bf8aa63ea2cb178a02e57cec4d14ef9e6fcc4c95',
    manifest: 'sha256:861754d242691772d20bc1468bf5f78a7e7ab59ae7d03367c6dac0d0f1804c25',
  },
  {
    name: 'compatibility 10',
    inputs: 'inputs, compatibility 10',
    config: 'sha256:697cbcf20a7a2050075178146adc20d19e01634b96a2fd6ae574864f5ec5adac',
    manifest: 'sha256:777d6dbd9cabe484c3ac34fa1e9c23138cdceacd7c2c9805ef3d3cbef6eb028b',
  },
] as const;
export const GOLDEN_BUSYBOX = {
  digest: 'sha256:3b2645dc700f1550f22b0915aea1fb70755d0cccd4171499c7a18f396a284d48',
  size: 4492656,
};
const BUSYBOX_DIFF_ID = 'sha256:fe4922f0a3ca2aa707ca0f8cc53937e947fec1157a09302baf11904258d67d17';

/** The config document of those images: what docker 20.10 wrote for busybox, with the exporter's history and layers. */
export function goldenConfig(diffIds: readonly string[]): Readonly<Record<string, unknown>> {
  const container = (hostname: string, cmd: readonly string[], labels: object | null): object => ({
    Hostname: hostname,
    Domainname: '',
    User: '',
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
    Cmd: cmd,
    Image: 'sha256:919de79e94ce464098cec8a4796f27aa2d0c93985e27f6a157c8bbb557568013',
    Volumes: null,
    WorkingDir: '',
    Entrypoint: null,
    OnBuild: null,
    Labels: labels,
  });
  const created = new Date(GOLDEN_EPOCH * 1000).toISOString().replace('.000', '');
  const exported = (text: string): object => ({ created, created_by: text, comment: 'buildkit.exporter.image.v0' });
  return {
    rootfs: { type: 'layers', diff_ids: [BUSYBOX_DIFF_ID, ...diffIds] },
    os: 'linux',
    history: [
      {
        created,
        created_by:
          '/bin/sh -c #(nop) ADD file:7e9002edaafd4e4579b65c8f0aaabde1aeb7fd3f8d95579f7fd3443cef785fd1 in / ',
      },
      { created, created_by: '/bin/sh -c #(nop)  CMD ["sh"]', empty_layer: true },
      exported('mkdir /proc, mkdir /sys, mkdir /base, mkfile /base/base.txt'),
      exported(
        'mkdir /inputs/git, mkfile /inputs/llb.txt, copy /artifact.txt /inputs/http.txt, ' +
          'copy /git.txt /inputs/git/git.txt, copy /sub/nested.txt /inputs/git/nested.txt',
      ),
      exported(
        'mount / from exec sh -eux -c \nmkdir -p /generated/deeper\necho exec-fixture > /generated/exec.txt\n' +
          'echo nested-exec > /generated/deeper/nested.txt\n',
      ),
    ],
    docker_version: '20.10.23',
    created,
    container_config: container('adfa050237a5', ['/bin/sh', '-c', '#(nop) ', 'CMD ["sh"]'], {}),
    container: 'adfa050237a5fcf9f1e5ad6351b3665e4b99e0c12f33bdd3535b8fb001f9dd2e',
    config: container('', ['sh'], null),
    architecture: 'amd64',
  };
}
