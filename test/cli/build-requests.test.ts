/** What `wharf build` asks for, and what it prints when nothing is built. */
import { readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { BuildReport } from '../../lib/build/index.js';
import { writeLayer } from '../../lib/layers/index.js';
import { digestOf, MediaType } from '../../lib/oci/index.js';
import { type CliFixture, createAppFixture, type Ran } from './cli-fixture.js';

type Env = Readonly<Record<string, string>>;

let cli: CliFixture;

beforeAll(async () => {
  cli = await createAppFixture();
});

afterAll(() => cli.close());

async function reporting(args: readonly string[], report: BuildReport, env: Env = {}): Promise<Ran> {
  const { builds } = cli.api;
  const before = builds.submitted.length;
  const running = cli.run(['build', 'app', ...args], { env });
  await cli.api.base.until('it was submitted', () => builds.submitted.length > before);
  const id = (await builds.list({ limit: 1 })).builds[0]?.id ?? '';
  builds.tell(id, { type: 'step-started', step: 1, name: '[1/1]', instruction: 'COPY a /a', reason: 'a changed' });
  builds.tell(id, { type: 'step-finished', step: 1, cached: false, milliseconds: 10 });
  builds.tell(id, { type: 'finished', status: 'succeeded', report });
  return running;
}

describe('a request', () => {
  test('has all that the options say', async () => {
    const args = [
      ['--platform', 'linux/amd64,linux/arm64', '--platform', 'linux/386'],
      ['--no-cache-filter', 'build', '--compression', 'zstd:3', '-t', 'a:1'],
      ['--annotation', 'a=1', '--annotation', 'index:b=x=2', '--annotation', 'manifest-descriptor:c=3'],
      ['--provenance', 'mode=max,version=v1', '--sbom', 'generator=team/scanner:1'],
    ].flat();
    await reporting([...args, '--check'], { kind: 'check', warnings: [] });
    expect(cli.api.builds.submitted.at(-1)).toMatchObject({
      platforms: ['linux/amd64', 'linux/arm64', 'linux/386'],
      noCacheFilter: ['build'],
      compression: { type: 'zstd', level: 3 },
      annotations: { manifest: { a: '1' }, index: { b: 'x=2' }, manifestDescriptor: { c: '3' } },
      attestations: { provenance: { mode: 'max' }, sbom: { generator: 'team/scanner:1' } },
      check: true,
    });
    expect(cli.api.builds.submitted.at(-1)).not.toHaveProperty('noCache');
  });

  test('of one platform is one of a plain image, and of none says nothing', async () => {
    await reporting(['--platform', 'linux/arm64', '--plan'], { kind: 'check', warnings: [] });
    expect(cli.api.builds.submitted.at(-1)).toMatchObject({ platform: 'linux/arm64', plan: true });
    await reporting([], { kind: 'check', warnings: [] });
    expect(Object.keys(cli.api.builds.submitted.at(-1) ?? {}).sort()).toEqual(
      ['args', 'context', 'dockerfile', 'labels', 'tags'].filter(
        (key) => key in (cli.api.builds.submitted.at(-1) ?? {}),
      ),
    );
  });

  test('has what RUN gets, as docker’s options say it', async () => {
    const args = [
      ['--allow', 'network.host,security.insecure', '--network', 'none', '--shm-size', '64m'],
      ['--add-host', 'db:10.0.0.1', '--add-host', 'six=[fd00::1]', '--ulimit', 'nofile=10:20', '--ulimit', 'core=0'],
      ['--memory', '1g', '--memory-swap', '-1', '-c', '512', '--cpu-quota', '50000', '--cpuset-cpus', '0-1'],
    ].flat();
    await reporting([...args, '--check'], { kind: 'check', warnings: [] });
    expect(cli.api.builds.submitted.at(-1)).toMatchObject({
      allow: ['network.host', 'security.insecure'],
      run: {
        network: 'none',
        hosts: { db: '10.0.0.1', six: 'fd00::1' },
        shmBytes: 64 * 1024 * 1024,
        ulimits: [
          { name: 'nofile', soft: 10, hard: 20 },
          { name: 'core', soft: 0, hard: 0 },
        ],
        limits: {
          memoryBytes: 1024 ** 3,
          memorySwapBytes: -1,
          cpuShares: 512,
          cpuQuotaUs: 50_000,
          cpusetCpus: '0-1',
        },
      },
    });
  });

  test('takes a source policy as BuildKit has it, from a file or from where buildx looks', async () => {
    const policy = { rules: [{ action: 'DENY', selector: { identifier: 'docker-image://*', match_type: 'EXACT' } }] };
    await writeFile(join(cli.folder, 'policy.json'), JSON.stringify(policy));
    await reporting(['--source-policy-file', 'policy.json', '--check'], { kind: 'check', warnings: [] });
    expect(cli.api.builds.submitted.at(-1)).toMatchObject({ sourcePolicy: policy, check: true });
    await rm(join(cli.folder, 'policy.json'));
    const lost = await cli.run(['build', 'app', '--source-policy-file', 'policy.json']);
    expect(lost).toMatchObject({ code: 2, stderr: expect.stringContaining('policy.json') });
  });

  test('has the form of the image, and the time of the environment', async () => {
    const { builds } = cli.api;
    const args = ['--force-compression', '--media-types', 'docker', '--compatibility-version', '20', '--check'];
    await reporting(args, { kind: 'check', warnings: [] });
    expect(builds.submitted.at(-1)).toMatchObject({
      compression: { type: 'gzip', force: true },
      mediaTypes: 'docker',
      compatibilityVersion: 20,
    });
    const running = (more: readonly string[]): Promise<Ran> =>
      reporting(['--check', ...more], { kind: 'check', warnings: [] }, { SOURCE_DATE_EPOCH: '1700000000' });
    await running([]);
    expect(builds.submitted.at(-1)).toMatchObject({ args: { SOURCE_DATE_EPOCH: '1700000000' } });
    await running(['--build-arg', 'SOURCE_DATE_EPOCH=5']);
    expect(builds.submitted.at(-1)).toMatchObject({ args: { SOURCE_DATE_EPOCH: '5' } });
  });

  test.each([
    ['--compatibility-version', '31'],
    ['--allow', 'device'],
    ['--network', 'bridge'],
    ['--add-host', 'db'],
    ['--ulimit', 'nofile'],
    ['--memory', 'much'],
    ['--platform', 'toaster'],
    ['--compression', 'rar'],
    ['--annotation', 'x'],
    ['--provenance', 'mode=all'],
    ['--attest', 'type=scorecard'],
    ['--sbom', 'colour=red'],
  ])('with %s %s is refused with 2', async (option, value) => {
    const ran = await cli.run(['build', 'app', option, value]);
    expect([ran.code, ran.stdout]).toEqual([2, '']);
    // It says what is wrong: by the option, or by the value.
    expect(ran.stderr).toMatch(new RegExp(`^error.*(${option.slice(2)}|${value.replace(/^type=|=red$/g, '')})`));
  });
});

describe('images export', () => {
  test('writes the tar whole, and nothing for an image that is not there', async () => {
    const { base } = cli.api;
    const layer = await writeLayer([], { content: base.store.content });
    const config = Buffer.from(
      JSON.stringify({ os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [layer.diffId] } }),
    );
    await base.store.content.putBytes(config);
    await base.images.linkBlob('team/app', digestOf(config));
    await base.images.linkBlob('team/app', layer.descriptor.digest);
    const manifest = {
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: { mediaType: MediaType.ociConfig, digest: digestOf(config), size: config.length },
      layers: [layer.descriptor],
    };
    await base.images.putManifest('team/app', Buffer.from(JSON.stringify(manifest)), MediaType.ociManifest, ['1']);
    const ran = await cli.run(['images', 'export', 'team/app:1', '--format', 'docker', '-o', 'app.tar', '--json']);
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    const { sizeBytes } = JSON.parse(ran.stdout) as { sizeBytes: number };
    expect((await stat(join(cli.folder, 'app.tar'))).size).toBe(sizeBytes);
    expect(sizeBytes % 512).toBe(0);
    expect((await cli.run(['images', 'export', 'team/none', '-o', 'none.tar'])).code).toBe(4);
    expect(await readdir(cli.folder)).toEqual(['app', 'app.tar']);
    expect((await cli.run(['images', 'export', 'team/app:1'])).code).toBe(2);
  });
});

describe('what is printed', () => {
  test('a check without findings leaves with 0, one with findings with 1', async () => {
    const clean = await reporting(['--check'], { kind: 'check', warnings: [] });
    expect(clean).toMatchObject({ code: 0, stdout: 'check complete, no warnings\n' });
    const warnings = [{ rule: 'UndefinedVar', message: 'm', line: 3 }];
    const found = await reporting(['--check'], { kind: 'check', warnings });
    expect(found).toMatchObject({ code: 1, stdout: 'check complete, 1 warning\n' });
    expect(found.stderr).toContain('UndefinedVar');
  });

  test('why a step was not cached, beside the step', async () => {
    const { stderr } = await reporting(['--progress', 'plain'], { kind: 'check', warnings: [] });
    expect(stderr).toContain('#1 [1/1] COPY a /a\n#1 not cached: a changed\n');
  });

  test('a plan', async () => {
    const step = { step: 1, name: '[1/2]', instruction: 'COPY a /a', line: 2 };
    const { stdout, code } = await reporting(['--plan'], {
      kind: 'plan',
      steps: [
        { ...step, expected: 'hit', layerBytes: 10 },
        { ...step, step: 2, name: '[2/2]', expected: 'miss', reason: 'a changed' },
      ],
      hits: 1,
      misses: 1,
      bytes: { context: 2048, fetch: 0, cached: 10 },
    });
    expect(code).toBe(0);
    expect(stdout).toBe(
      'hit        [1/2] COPY a /a\nmiss       [2/2] COPY a /a (a changed)\n1 cached, 1 to make; 2.0 KiB of the context to copy, 0 B to fetch\n',
    );
  });

  test('an outline and the targets, as text and as JSON', async () => {
    const outline: BuildReport = {
      kind: 'outline',
      target: 'release',
      args: [{ name: 'V', value: '1', description: 'the version', line: 1 }],
      secrets: [{ id: 'npm', required: true, line: 2 }],
      ssh: [],
      caches: [{ id: 'go', target: '/go', line: 3 }],
      mounts: [],
    };
    const { stdout } = await reporting(['--outline'], outline);
    expect(stdout).toBe('target release\narg V=1  the version\nsecret npm (required)\ncache go at /go\n');
    const targets: BuildReport = {
      kind: 'targets',
      targets: [{ name: 'a', base: 'scratch', isDefault: true, line: 1 }],
    };
    for (const words of [['--targets'], ['--call', 'targets']]) {
      expect((await reporting(words, targets)).stdout).toBe('a (default) from scratch\n');
    }
    expect(await cli.run(['build', 'app', '--call', 'lint'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('check, plan, outline, targets'),
    });
    const { report } = JSON.parse((await reporting(['--targets', '--json'], targets)).stdout) as {
      report: BuildReport;
    };
    expect(report).toEqual(targets);
  });
});
