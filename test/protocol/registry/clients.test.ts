/** The clients people use, unmodified: skopeo, podman, buildah and docker log in, push, pull, copy and delete. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { digestHex } from '../../../lib/oci/index.js';
import { requireTools } from '../../host-tools.js';
import { type TestLayout, writeLayout } from './oci-layout.js';
import { PROCESS_TOKEN, type RegistryProcess, startRegistryProcess } from './registry-process.js';
import { type RunningRegistry, startTestRegistry } from './registry-server.js';
import { openEmbeddedStore, type OpenStore } from './stores.js';

const execute = promisify(execFile);
let folder: string;
let layout: TestLayout;
let store: OpenStore;
let registry: RunningRegistry;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wharf-clients-'));
  layout = await writeLayout(folder);
  store = await openEmbeddedStore();
  registry = await startTestRegistry(store);
});
afterAll(async () => {
  await registry.close();
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

/** Runs a client with its credentials in our folder; its output. */
async function run(command: string, args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const REGISTRY_AUTH_FILE = join(folder, 'auth.json');
  const { stdout } = await execute(command, args, { env: { ...process.env, REGISTRY_AUTH_FILE, ...env } });
  return stdout.trim();
}

requireTools('skopeo').describe('skopeo', () => {
  const creds = (): string => `wharf:${registry.tokens.admin}`;
  const to = (): string[] => ['--dest-tls-verify=false', '--dest-creds', creds()];
  const from = (): string[] => ['--src-tls-verify=false', '--src-creds', creds()];
  const at = (name: string): string => `docker://${registry.host}/${name}`;
  const inspect = (name: string, ...more: string[]): Promise<string> =>
    run('skopeo', ['inspect', '--tls-verify=false', '--creds', creds(), ...more, at(name)]);

  test('copies an image in, and out again the same', async () => {
    await run('skopeo', ['copy', ...to(), layout.image, at('skopeo/app:one')]);
    expect(JSON.parse(await inspect('skopeo/app:one'))).toMatchObject({ Digest: layout.manifest, RepoTags: ['one'] });
    await run('skopeo', ['copy', ...from(), at('skopeo/app:one'), `oci:${join(folder, 'out')}:one`]);
    const blob = await readFile(join(folder, 'out', 'blobs', 'sha256', digestHex(layout.manifest)));
    expect(blob.length).toBeGreaterThan(0);
  });

  test('copies all platforms of an index, and one repository to another', async () => {
    await run('skopeo', ['copy', '--all', ...to(), layout.index, at('skopeo/multi:both')]);
    await run('skopeo', ['copy', '--all', ...from(), ...to(), at('skopeo/multi:both'), at('skopeo/copy:both')]);
    const index = JSON.parse(await inspect('skopeo/copy:both', '--raw')) as { manifests: unknown[] };
    expect(index.manifests).toHaveLength(2);
  });

  test('lists the tags of a repository, and mirrors all of them', async () => {
    for (const tag of ['one', 'two']) await run('skopeo', ['copy', ...to(), layout.image, at(`skopeo/many:${tag}`)]);
    const listed = await run('skopeo', ['list-tags', '--tls-verify=false', '--creds', creds(), at('skopeo/many')]);
    expect(JSON.parse(listed)).toMatchObject({ Tags: ['one', 'two'] });
    const mirror = ['--src', 'docker', '--dest', 'docker', `${registry.host}/skopeo/many`, `${registry.host}/mirror`];
    await run('skopeo', ['sync', '--all', ...from(), ...to(), ...mirror]);
    const mirrored = await registry.registry.tags('mirror/many');
    expect(mirrored?.map(({ tag, digest }) => [tag, digest])).toEqual([
      ['one', layout.manifest],
      ['two', layout.manifest],
    ]);
  });

  test('copies an index alone where a repository may lack platforms', async () => {
    const copy = () => run('skopeo', ['copy', '--multi-arch=index-only', ...to(), layout.index, at('sparse/app:both')]);
    await expect(copy()).rejects.toThrow(/names what repository sparse\/app has not/);
    await registry.registry.sparseRepositories.add('sparse/*');
    await copy();
    const index = JSON.parse(await inspect('sparse/app:both', '--raw')) as { manifests: unknown[] };
    expect(index.manifests).toHaveLength(2);
  });

  test('deletes an image, with its tag', async () => {
    await run('skopeo', ['copy', ...to(), layout.image, at('skopeo/gone:one')]);
    await run('skopeo', ['delete', '--tls-verify=false', '--creds', creds(), at('skopeo/gone:one')]);
    await expect(inspect('skopeo/gone:one')).rejects.toThrow(/manifest unknown|MANIFEST_UNKNOWN|no manifest/i);
  });

  test('is refused with a wrong token, and may only read with a read token', async () => {
    await run('skopeo', ['copy', ...to(), layout.image, at('skopeo/read:one')]);
    const wrong = run('skopeo', ['inspect', '--tls-verify=false', '--creds', 'x:wrong', at('skopeo/read:one')]);
    await expect(wrong).rejects.toThrow(/invalid username\/password|unauthorized/i);
    const reader = `x:${registry.tokens.read}`;
    await run('skopeo', ['inspect', '--tls-verify=false', '--creds', reader, at('skopeo/read:one')]);
    const push = run('skopeo', [
      'copy',
      '--dest-tls-verify=false',
      '--dest-creds',
      reader,
      layout.image,
      at('skopeo/read:two'),
    ]);
    await expect(push).rejects.toThrow(/denied|unauthorized|insufficient/i);
  });
});

requireTools('podman', 'skopeo', 'root').describe('podman', () => {
  const podman = (...args: string[]): Promise<string> => {
    const place = (name: string): string => join(folder, 'podman', name);
    const own = ['--root', place('root'), '--runroot', place('run'), '--tmpdir', place('tmp')];
    const plain = ['--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs', '--events-backend', 'none'];
    return run('podman', [...own, ...plain, ...args]);
  };

  test('logs in, pulls what was pushed, and pushes it under another name', async () => {
    const to = ['--dest-tls-verify=false', '--dest-creds', `x:${registry.tokens.admin}`];
    await run('skopeo', ['copy', ...to, layout.image, `docker://${registry.host}/podman/app:one`]);
    await podman('login', '--tls-verify=false', '-u', 'wharf', '-p', registry.tokens.admin, registry.host);
    const id = await podman('pull', '-q', '--tls-verify=false', `${registry.host}/podman/app:one`);
    expect(id).toBe(digestHex(layout.config));
    await podman('tag', id, `${registry.host}/podman/other:two`);
    await podman('push', '-q', '--tls-verify=false', `${registry.host}/podman/other:two`);
    expect(await registry.registry.tags('podman/other')).toMatchObject([{ tag: 'two' }]);
    await podman('rmi', '-f', id);
    await podman('pull', '-q', '--tls-verify=false', `${registry.host}/podman/other:two`);
    await podman('rmi', '-a', '-f');
  }, 60_000);

  test('puts an index together from what it pulls, and pushes it with its images', async () => {
    const to = ['--dest-tls-verify=false', '--dest-creds', `x:${registry.tokens.admin}`];
    const from = (name: string): string => `docker://${registry.host}/podman/${name}`;
    await run('skopeo', ['copy', '--all', ...to, layout.index, from('source:both')]);
    await podman('login', '--tls-verify=false', '-u', 'wharf', '-p', registry.tokens.admin, registry.host);
    await podman('manifest', 'create', 'both');
    await podman('manifest', 'add', '--all', '--tls-verify=false', 'both', from('source:both'));
    await podman('manifest', 'push', '-q', '--all', '--tls-verify=false', 'both', from('multi:both'));
    const creds = ['--tls-verify=false', '--creds', `x:${registry.tokens.admin}`];
    const index = JSON.parse(await run('skopeo', ['inspect', '--raw', ...creds, from('multi:both')])) as {
      manifests: unknown[];
    };
    expect(index.manifests).toHaveLength(2);
    await podman('manifest', 'rm', 'both');
  }, 60_000);

  test('cannot log in with a wrong token', async () => {
    const login = podman('login', '--tls-verify=false', '-u', 'wharf', '-p', 'wrong', registry.host);
    await expect(login).rejects.toThrow(/invalid username\/password/);
  });
});

requireTools('skopeo').describe('skopeo, without credentials or as a robot', () => {
  const at = (name: string): string => `docker://${registry.host}/${name}`;
  const inspect = (name: string, ...how: string[]): Promise<string> =>
    run('skopeo', ['inspect', '--tls-verify=false', ...how, at(name)], {
      REGISTRY_AUTH_FILE: join(folder, 'nobody.json'),
    });

  test('reads what is public, and nothing else', async () => {
    const to = ['--dest-tls-verify=false', '--dest-creds', `x:${registry.tokens.admin}`];
    await run('skopeo', ['copy', ...to, layout.image, at('open/app:one')]);
    await run('skopeo', ['copy', ...to, layout.image, at('shut/app:one')]);
    await registry.registry.publicRepositories.add('open/*');
    expect(JSON.parse(await inspect('open/app:one', '--no-creds'))).toMatchObject({ Digest: layout.manifest });
    await expect(inspect('shut/app:one', '--no-creds')).rejects.toThrow(/unauthorized|authentication required/i);
  });

  test('as a robot pushes where the robot may and nowhere else', async () => {
    const grants = [{ repositories: 'robots/*', actions: ['pull', 'push'] }] as const;
    const { secret } = await registry.robots.create('skopeo', { grants });
    const to = ['--dest-tls-verify=false', '--dest-creds', `skopeo:${secret}`];
    await run('skopeo', ['copy', ...to, layout.image, at('robots/app:one')]);
    const elsewhere = run('skopeo', ['copy', ...to, layout.image, at('others/app:one')]);
    await expect(elsewhere).rejects.toThrow(/denied|unauthorized|insufficient/i);
  });
});

requireTools('buildah', 'skopeo', 'root').describe('buildah', () => {
  const buildah = (...args: string[]): Promise<string> => {
    const place = (name: string): string => join(folder, 'buildah', name);
    const own = ['--root', place('root'), '--runroot', place('run'), '--storage-driver', 'vfs'];
    return run('buildah', [...own, ...args], { TMPDIR: folder });
  };
  const at = (name: string): string => `docker://${registry.host}/${name}`;
  const inspect = (name: string): Promise<string> =>
    run('skopeo', ['inspect', '--raw', '--tls-verify=false', '--creds', `x:${registry.tokens.admin}`, at(name)]);

  test('logs in, builds on what it pulls, and pushes layer, image and index', async () => {
    const to = ['--dest-tls-verify=false', '--dest-creds', `x:${registry.tokens.admin}`];
    await run('skopeo', ['copy', ...to, layout.image, at('buildah/base:one')]);
    await buildah('login', '--tls-verify=false', '-u', 'wharf', '-p', registry.tokens.admin, registry.host);
    const container = await buildah('from', '-q', '--tls-verify=false', `${registry.host}/buildah/base:one`);
    await buildah('config', '--label', 'by=buildah', container);
    const image = await buildah('commit', '-q', container);
    await buildah('push', '-q', '--tls-verify=false', image, at('buildah/app:two'));
    const manifest = JSON.parse(await inspect('buildah/app:two')) as { layers: unknown[] };
    expect(manifest.layers.length).toBeGreaterThan(0);
    await buildah('manifest', 'create', 'both');
    await buildah('manifest', 'add', '--tls-verify=false', 'both', at('buildah/base:one'));
    await buildah('manifest', 'add', '--tls-verify=false', 'both', at('buildah/app:two'));
    await buildah('manifest', 'push', '-q', '--all', '--tls-verify=false', 'both', at('buildah/both:one'));
    const index = JSON.parse(await inspect('buildah/both:one')) as { manifests: unknown[] };
    expect(index.manifests).toHaveLength(2);
    await buildah('rm', container);
    await buildah('rmi', '-a', '-f');
    await buildah('pull', '-q', '--tls-verify=false', at('buildah/app:two'));
    await buildah('rmi', '-a', '-f');
  }, 120_000);

  test('cannot log in with a wrong token', async () => {
    const login = buildah('login', '--tls-verify=false', '-u', 'wharf', '-p', 'wrong', registry.host);
    await expect(login).rejects.toThrow(/invalid username\/password/);
  });
});

/**
 * A docker engine of the test's own, in a network namespace with the registry: a second engine beside a running one
 * would take that one's bridge away.
 */
requireTools('dockerd', 'docker', 'skopeo', 'ip', 'nsenter', 'root').describe('docker', () => {
  const namespace = `wharf-registry-${process.pid}`;
  const inside = ['nsenter', `--net=/run/netns/${namespace}`];
  const place = (name: string): string => join(folder, 'docker', name);
  let near: RegistryProcess;
  let engine: ReturnType<typeof spawn>;
  const docker = (...args: string[]): Promise<string> =>
    run('docker', ['-H', `unix://${place('sock')}`, ...args], { DOCKER_CONFIG: place('config') });

  beforeAll(async () => {
    await mkdir(place('data'), { recursive: true });
    await execute('ip', ['netns', 'add', namespace]);
    await execute('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
    near = await startRegistryProcess(place('registry'), inside);
    const [command = '', ...enter] = inside;
    const own = [`--data-root=${place('data')}`, `--exec-root=${place('exec')}`, `--pidfile=${place('pid')}`];
    const apart = [`--containerd-namespace=${namespace}`, `--containerd-plugins-namespace=${namespace}-plugins`];
    const plain = ['--bridge=none', '--iptables=false', '--ip6tables=false', '--storage-driver=vfs'];
    engine = spawn(command, [...enter, 'dockerd', `--host=unix://${place('sock')}`, ...own, ...apart, ...plain], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
    });
    await untilListening(engine);
  }, 60_000);
  afterAll(async () => {
    if (engine.exitCode === null) {
      engine.kill('SIGTERM');
      await once(engine, 'exit');
    }
    await near.kill();
    await execute('ip', ['netns', 'delete', namespace]);
  }, 60_000);

  test('logs in, pulls what was pushed, and pushes it under another name', async () => {
    const creds = `x:${PROCESS_TOKEN}`;
    const skopeo = ['skopeo', 'copy', '--dest-tls-verify=false', '--dest-creds', creds, layout.image];
    const [command = '', ...enter] = inside;
    await run(command, [...enter, ...skopeo, `docker://${near.host}/docker/app:one`]);
    await docker('login', '-u', 'wharf', '-p', PROCESS_TOKEN, near.host);
    await docker('pull', '-q', `${near.host}/docker/app:one`);
    expect(await docker('image', 'ls', '-q', '--no-trunc')).toBe(layout.config);
    await docker('tag', `${near.host}/docker/app:one`, `${near.host}/docker/other:two`);
    await docker('push', '-q', `${near.host}/docker/other:two`);
    await docker('image', 'rm', `${near.host}/docker/app:one`, `${near.host}/docker/other:two`);
    await docker('pull', '-q', `${near.host}/docker/other:two`);
    expect(await docker('image', 'ls', '-q', '--no-trunc')).toBe(layout.config);
  }, 60_000);

  test('pushes a layer the registry has never seen', async () => {
    const rootfs = join(folder, 'files');
    const tar = join(folder, 'rootfs.tar');
    await execute('tar', ['-C', rootfs, '-cf', tar, '--transform', 's/hello/imported/', 'hello.txt']);
    await docker('import', tar, `${near.host}/docker/imported:1`);
    await docker('push', '-q', `${near.host}/docker/imported:1`);
    await docker('image', 'rm', `${near.host}/docker/imported:1`);
    await docker('pull', '-q', `${near.host}/docker/imported:1`);
  }, 60_000);

  test('pulls what is public without a login, by tag and all its layers, and nothing else', async () => {
    const [command = '', ...enter] = inside;
    for (const name of ['open/app:one', 'shut/app:one']) {
      const creds = ['--dest-tls-verify=false', '--dest-creds', `x:${PROCESS_TOKEN}`];
      await run(command, [...enter, 'skopeo', 'copy', ...creds, layout.image, `docker://${near.host}/${name}`]);
    }
    const nobody = (name: string): Promise<string> =>
      run('docker', ['-H', `unix://${place('sock')}`, 'pull', '-q', `${near.host}/${name}`], {
        DOCKER_CONFIG: place('nobody'),
      });
    expect(await nobody('open/app:one')).toBe(`${near.host}/open/app:one`);
    expect(await docker('image', 'inspect', '-f', '{{.Id}}', `${near.host}/open/app:one`)).toBe(layout.config);
    await expect(nobody('shut/app:one')).rejects.toThrow(/unauthorized|authentication required|denied/);
    await expect(nobody('open/absent:one')).rejects.toThrow(/not found|manifest unknown/);
  }, 60_000);

  test('pulls its own platform of an index, and puts an index together', async () => {
    const [command = '', ...enter] = inside;
    const to = ['--dest-tls-verify=false', '--dest-creds', `x:${PROCESS_TOKEN}`];
    const at = `${near.host}/docker/multi`;
    await run(command, [...enter, 'skopeo', 'copy', '--all', ...to, layout.index, `docker://${at}:both`]);
    await docker('login', '-u', 'wharf', '-p', PROCESS_TOKEN, near.host);
    await docker('pull', '-q', `${at}:both`);
    const from = ['--tls-verify=false', '--creds', `x:${PROCESS_TOKEN}`];
    const raw = await run(command, [...enter, 'skopeo', 'inspect', '--raw', ...from, `docker://${at}:both`]);
    const { manifests } = JSON.parse(raw) as { manifests: { digest: string }[] };
    const images = manifests.map(({ digest }) => `${at}@${digest}`);
    // The client itself speaks to the registry here, from where it runs.
    const client = (...args: string[]): Promise<string> =>
      run(command, [...enter, 'docker', 'manifest', ...args], { DOCKER_CONFIG: place('config') });
    await client('create', '--insecure', `${at}:made`, ...images);
    const digest = await client('push', '--insecure', `${at}:made`);
    const made = await run(command, [...enter, 'skopeo', 'inspect', '--raw', ...from, `docker://${at}:made`]);
    expect((JSON.parse(made) as { manifests: unknown[] }).manifests).toHaveLength(2);
    expect(digest).toMatch(/sha256:[0-9a-f]{64}$/);
  }, 60_000);

  test('cannot log in with a wrong token', async () => {
    await expect(docker('login', '-u', 'wharf', '-p', 'wrong', near.host)).rejects.toThrow(/unauthorized/);
  });
});

async function untilListening(engine: ReturnType<typeof spawn>): Promise<void> {
  const { stderr } = engine;
  if (stderr === null) throw new Error('the engine has no log');
  let log = '';
  for await (const chunk of stderr.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    log += chunk.toString();
    if (!log.includes('API listen on')) continue;
    stderr.resume();
    return;
  }
  throw new Error(`dockerd did not start: ${log.slice(-2000)}`);
}
