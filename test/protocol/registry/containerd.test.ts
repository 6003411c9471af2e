/**
 * containerd: pushes and pulls; and set to ask our registry in place of an image's own, keeps the name and names the
 * host beside it.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createTestStore, type TestStore } from '../../fakes/embedded-store.js';
import { requireTools } from '../../host-tools.js';
import { type CncfRegistry, startCncfRegistry } from './cncf-registry.js';
import { imageSet } from './images.js';
import { type RunningRegistry, startTestRegistry } from './registry-server.js';
import { Wire } from './wire.js';

requireTools('containerd', 'ctr', 'docker-registry', 'root').describe('containerd', () => {
  let folder: string;
  let source: CncfRegistry;
  let store: TestStore;
  let ours: RunningRegistry;
  let engine: ReturnType<typeof spawn>;
  const place = (name: string): string => join(folder, name);
  const ctr = async (...args: string[]): Promise<string> =>
    (await promisify(execFile)('ctr', ['--address', place('sock'), ...args])).stdout;
  const pull = (name: string, ...how: string[]): Promise<string> =>
    ctr('images', 'pull', '--snapshotter', 'native', '--hosts-dir', place('hosts'), ...how, name);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wharf-containerd-'));
    source = await startCncfRegistry();
    store = await createTestStore();
    ours = await startTestRegistry(store, {
      upstreams: [{ prefix: 'hub', registry: source.host, tagTtlSeconds: 300 }],
    });
    await mkdir(join(place('hosts'), source.host), { recursive: true });
    // Its own host is not to be asked: what is pulled comes from us, or does not come.
    const hosts = `server = "http://127.0.0.1:1"\n[host."${ours.url}"]\n  capabilities = ["pull", "resolve"]\n`;
    await writeFile(join(place('hosts'), source.host, 'hosts.toml'), hosts);
    const disabled = 'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n';
    await writeFile(place('config.toml'), `version = 2\n${disabled}`);
    const folders = ['--root', place('root'), '--state', place('state')];
    engine = spawn('containerd', ['--config', place('config.toml'), '--address', place('sock'), ...folders], {
      stdio: 'ignore',
    });
    while (
      !(await access(place('sock')).then(
        () => true,
        () => false,
      ))
    ) {
      if (engine.exitCode !== null) throw new Error(`containerd ended with ${engine.exitCode}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }, 60_000);
  afterAll(async () => {
    if (engine.exitCode === null) {
      engine.kill('SIGTERM');
      await once(engine, 'exit');
    }
    await ours.close();
    await store.close();
    await source.close();
    await rm(folder, { recursive: true, force: true });
  }, 60_000);

  test('pulls what a cache of ours has by the name it has at its source, logged in and as anybody, and pushes it', async () => {
    const set = imageSet('an image without layers');
    const wire = new Wire({ url: source.url, tokens: ours.tokens });
    for (const { bytes, digest } of set.blobs) await wire.push('team/app', bytes, 'stream', digest);
    const [image] = set.manifests;
    if (image === undefined) throw new Error('the set has no manifest');
    await wire.put('team/app', 'v1', image);
    const login = ['--user', `wharf:${ours.tokens.admin}`];
    const name = `${source.host}/team/app:v1`;
    await expect(pull(name)).rejects.toThrow(/401|authorization failed|unauthorized/i);
    await pull(name, ...login);
    expect(await ctr('images', 'ls', '-q', `name==${name}`)).toBe(`${name}\n`);
    expect((await ours.registry.tags('hub/team/app'))?.map(({ digest }) => digest)).toEqual([image.digest]);
    const own = `${ours.host}/own/app:v1`;
    await ctr('images', 'tag', name, own);
    await ctr('images', 'push', '--plain-http', ...login, own);
    expect((await ours.registry.tags('own/app'))?.map(({ digest }) => digest)).toEqual([image.digest]);
    await ctr('images', 'rm', '--sync', name, own);
    await pull(own, '--plain-http', ...login);
    expect(await ctr('images', 'ls', '-q')).toBe(`${own}\n`);
    await ours.registry.publicRepositories.add('hub/*');
    await pull(name);
    expect(await ctr('images', 'ls', '-q', `name==${name}`)).toBe(`${name}\n`);
  }, 60_000);
});
