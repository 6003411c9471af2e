/** A build on a base of another registry, through a cache: the first time it is fetched, then the other may be gone. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { BASE_IMAGE, pushBaseImage } from '../../scripts/base-image.js';
import { requireTools } from '../host-tools.js';
import { type CncfRegistry, startCncfRegistry } from '../protocol/registry/cncf-registry.js';
import { type CommandOutcome, PlatformProcess } from './platform-process.js';

const host = requireTools('root', 'runc', 'conmon', 'bridge', 'ip', 'iptables', 'busybox', 'docker-registry');

host.describe('a platform with a cache of another registry', () => {
  const base = `hub/${BASE_IMAGE.repository}:${BASE_IMAGE.tag}`;
  let folder: string;
  let upstream: CncfRegistry;
  let platform: PlatformProcess;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wharf-cache-'));
    upstream = await startCncfRegistry();
    await pushBaseImage({ registry: upstream.host, token: 'any' });
    platform = await PlatformProcess.create();
    await platform.start();
    await platform.must('registry', 'upstream', 'add', 'hub', upstream.host, '--tag-ttl', '0');
  }, 60_000);
  afterAll(async () => {
    const left = await platform.remove();
    await upstream.close();
    await rm(folder, { recursive: true, force: true });
    expect(left).toEqual([]);
  }, 60_000);

  async function build(name: string, from = base): Promise<CommandOutcome> {
    const context = join(folder, name);
    await mkdir(context);
    await writeFile(join(context, 'Dockerfile'), `FROM ${from}\nRUN echo ${name} > /made\n`);
    return platform.wharf('build', context, '-t', `${name}:1`, '--progress', 'plain');
  }

  test('builds on what the cache fetches, and again when the other registry is gone', async () => {
    expect(await build('first')).toMatchObject({ exitCode: 0 });
    const tags = (await (await platform.api('/v1/repositories/hub%2Fbusybox/tags')).json()) as { tags: unknown[] };
    expect(tags.tags).toMatchObject([{ tag: BASE_IMAGE.tag }]);
    await upstream.kill();
    // Another step on the same base: it runs.
    expect(await build('second')).toMatchObject({ exitCode: 0 });
    const refresh = await platform.wharf('registry', 'refresh', base);
    expect([refresh.exitCode === 0, refresh.stderr]).toEqual([false, expect.stringContaining('what was last seen')]);
    // What was never asked for is not there, and it is said why.
    const missing = await build('third', 'hub/never:1');
    expect([missing.exitCode === 0, missing.stderr]).toEqual([false, expect.stringContaining(upstream.host)]);
  }, 120_000);
});
