/** Two platforms with stores of their own: what one built, the other takes from a registry or a folder, and runs nothing. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { BASE_IMAGE, pushBaseImage } from '../../scripts/base-image.js';
import { requireTools } from '../host-tools.js';
import { type CncfRegistry, startCncfRegistry } from '../protocol/registry/cncf-registry.js';
import { type CommandOutcome, PlatformProcess } from './platform-process.js';

const host = requireTools(
  'root',
  'runc',
  'conmon',
  'bridge',
  'ip',
  'iptables',
  'busybox',
  'docker-registry',
  'htpasswd',
);
const USER = { username: 'ci', password: 'between-two' };
/** What it writes is never the same twice. */
const DICE = 'RUN head -c 16 /dev/urandom | od -t x1 >';

host.describe('two platforms', () => {
  let folder: string;
  let between: CncfRegistry;
  let here: PlatformProcess;
  let there: PlatformProcess;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wharf-remote-cache-'));
    await mkdir(join(folder, 'app'));
    await writeFile(join(folder, 'app', 'source'), 'source');
    await writeFile(
      join(folder, 'app', 'Dockerfile'),
      [
        `FROM ${BASE_IMAGE.repository}:${BASE_IMAGE.tag} AS made`,
        `${DICE} /dice`,
        `FROM ${BASE_IMAGE.repository}:${BASE_IMAGE.tag}`,
        'COPY --from=made /dice /dice',
        `${DICE} /own`,
        'COPY source /',
      ].join('\n'),
    );
    between = await startCncfRegistry(USER);
    [here, there] = [await PlatformProcess.create(), await PlatformProcess.create()];
    for (const platform of [here, there]) {
      const { registry, token } = await platform.start();
      await pushBaseImage({ registry, token });
    }
  }, 90_000);
  afterAll(async () => {
    const left = [...(await here.remove()), ...(await there.remove())];
    await between.close();
    await rm(folder, { recursive: true, force: true });
    expect(left).toEqual([]);
  }, 60_000);

  const dockerfile = (): Promise<string> => readFile(join(folder, 'app', 'Dockerfile'), 'utf8');
  const build = (platform: PlatformProcess, ...options: readonly string[]): Promise<CommandOutcome> =>
    platform.wharf('build', join(folder, 'app'), '-t', 'app:1', '--progress', 'plain', ...options);

  test('hand steps on through a registry that wants a login', async () => {
    const ref = `${between.host}/team/app:cache`;
    const refused = await build(here, '--cache-to', `type=registry,ref=${ref},mode=max`);
    expect([refused.exitCode === 0, refused.stderr]).toEqual([false, expect.stringContaining(`cache ${ref}: `)]);
    for (const platform of [here, there]) {
      const login = await platform.api(`/v1/registry/logins/${encodeURIComponent(between.host)}`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(USER),
      });
      expect(login.status).toBe(204);
    }
    const made = await build(here, '--cache-to', `type=registry,ref=${ref},mode=max`);
    expect(made).toMatchObject({ exitCode: 0, stderr: expect.stringContaining(`cache ${ref}: 4 steps written`) });
    const plan = await build(there, '--cache-from', ref, '--plan');
    expect(plan.stdout).toContain('4 cached, 0 to make');
    const taken = await build(there, '--cache-from', ref);
    expect(taken).toMatchObject({ exitCode: 0, stdout: made.stdout });
    expect(taken.stderr.match(/ CACHED from /g)).toHaveLength(4);
    await writeFile(join(folder, 'longer'), `${await dockerfile()}\nRUN cmp /dice /own || echo two of them`);
    const longer = await build(there, '--cache-from', ref, '-f', join(folder, 'longer'));
    expect(longer.stderr.match(/ CACHED from /g)).toHaveLength(4);
    expect(longer.stderr).toContain('two of them');
    // Nothing of it is there for a build that does not name it.
    const alone = await build(there);
    expect(alone.stderr).not.toContain('CACHED');
    expect(alone.stdout).not.toBe(made.stdout);
  }, 120_000);

  test('hand steps on through a folder, which keeps what other tags name', async () => {
    const cache = join(folder, 'cache');
    await writeFile(join(folder, 'app', 'source'), 'newer');
    const made = await build(here, '--cache-to', `type=local,dest=${cache},mode=max`);
    expect(made.exitCode).toBe(0);
    await build(here, '--cache-to', `type=local,dest=${cache},tag=small`);
    const index = JSON.parse(await readFile(join(cache, 'index.json'), 'utf8')) as { manifests: object[] };
    expect(index.manifests).toMatchObject([
      { annotations: { 'org.opencontainers.image.ref.name': 'latest' } },
      { annotations: { 'org.opencontainers.image.ref.name': 'small' } },
    ]);
    // A layer for each step; a config and a manifest for each tag.
    expect(await readdir(join(cache, 'blobs', 'sha256'))).toHaveLength(8);
    const taken = await build(there, '--cache-from', `type=local,src=${cache}`);
    expect(taken).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('CACHED from the local cache') });
    const nowhere = await build(here, '--cache-from', `type=local,src=${folder}/absent`);
    expect(nowhere).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('absent skipped: ') });
  }, 120_000);
});
