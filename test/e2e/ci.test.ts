/** The pipeline of docs/ci.md, as it stands in examples/ci: against a real platform, for a change that is good and one that is not. */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { requireTools } from '../host-tools.js';
import { PlatformProcess, runCommand } from './platform-process.js';

const host = requireTools('root', 'runc', 'conmon', 'bridge', 'ip', 'iptables', 'busybox', 'curl', 'jq');

host.describe('a pipeline with curl', () => {
  let platform: PlatformProcess;
  let source: string;
  let token: string;

  beforeAll(async () => {
    platform = await PlatformProcess.create();
    await platform.start();
    source = join(platform.folder, 'hello');
    await cp('examples/hello', source, { recursive: true });
    const base = ['--import', 'tsx', 'scripts/base-image.ts', platform.data];
    expect(await runCommand(process.execPath, base)).toMatchObject({ exitCode: 0 });
    await platform.must('cluster', 'create', 'demo', '--instances', '2');
    token = (await platform.must('token', 'create', 'ci', '--role', 'deploy', '--expires', '1h')).stdout.trim();
  }, 120_000);

  afterAll(async () => {
    expect(await platform.remove()).toEqual([]);
  }, 120_000);

  function pipeline(revision: string) {
    const settings = { CLUSTER: 'demo', SERVICE: 'hello', REVISION: revision };
    const place = { WHARF_URL: platform.ready?.url ?? '', WHARF_TOKEN: token };
    return runCommand('sh', ['-c', `cd '${source}' && sh '${resolve('examples/ci/deploy.sh')}'`], {
      ...settings,
      ...place,
    });
  }

  async function served(): Promise<string> {
    const { url } = platform.ready ?? { url: '' };
    const [address, name] = [`${url}/release.txt`, 'Host: hello.demo.localhost'];
    return (await runCommand('curl', ['-sS', '--fail', '-H', name, address])).stdout.trim();
  }

  test('builds, deploys what it built, and shows the log', async () => {
    await writeFile(join(source, 'release.txt'), 'one\n');
    const ran = await pipeline('one');
    expect(ran).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/exit status 0\nhello runs sha256:[0-9a-f]{64}\n$/),
    });
    expect(await served()).toBe('one');
  }, 120_000);

  test('is the same build when it is repeated', async () => {
    const [, build] = /^build (\S+)$/m.exec((await pipeline('one')).stdout) ?? [];
    const { builds } = JSON.parse((await platform.must('builds', '--json')).stdout) as { builds: { id: string }[] };
    expect(builds.map(({ id }) => id)).toEqual([build]);
  }, 120_000);

  test('fails at a build that fails, and deploys nothing', async () => {
    const path = join(source, 'Dockerfile');
    const good = await readFile(path, 'utf8');
    await writeFile(path, `${good}RUN false\n`);
    const ran = await pipeline('broken');
    await writeFile(path, good);
    expect(ran.exitCode).not.toBe(0);
    expect(ran.stdout).toContain('exit status 1');
    expect(await served()).toBe('one');
  }, 120_000);

  test('fails at tasks that do not serve, says why, and the old release runs', async () => {
    await writeFile(join(source, 'serve.sh'), '#!/bin/sh\necho cannot >&2; exit 9\n');
    const ran = await pipeline('two');
    expect(ran).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('rolled-back') });
    expect(ran.stderr).toContain('exit code 9');
    expect(await served()).toBe('one');
  }, 120_000);
});
