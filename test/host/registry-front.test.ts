/** The registry's streaming front: layers that no function takes, by a client of the street, and an end without a cut. */
import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { Agent, type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { FRONT_BUNDLE } from '../../lib/constructs/registry-front-image.js';
import { readAwsConfig, STORE_SETTINGS } from '../../lib/host/aws/config.js';
import { type ImageEvent, wantedImage } from '../../lib/host/aws/image-request.js';
import { type AwsStore, openAwsStore } from '../../lib/host/aws/store.js';
import { type Digest, digestHex } from '../../lib/oci/index.js';
import { Upstreams } from '../../lib/registry/cache/index.js';
import { RegistryLogins } from '../../lib/registry/client/index.js';
import { ADMIN_TOKEN } from '../fakes/account/account.js';
import { requireTools } from '../host-tools.js';
import { startCncfRegistry } from '../protocol/registry/cncf-registry.js';
import { writeLayout } from '../protocol/registry/oci-layout.js';
import { type ImageResourceLab, openImageResourceLab } from './image-resource-lab.js';
import { type FrontProcess, startFrontProcess, synthesiseFront } from './registry-front-process.js';

const MIB = 1024 ** 2;
const bearer = { authorization: `Bearer ${ADMIN_TOKEN}` };
let front: FrontProcess;
beforeAll(async () => {
  front = await startFrontProcess();
}, 120_000);
afterAll(() => front.close());

const at = (path: string): string => `http://${front.host}${path}`;

test('says that it lives, and where to get a token: under the name that clients know', async () => {
  expect((await fetch(at('/healthz'))).status).toBe(200);
  const challenge = (await fetch(at('/v2/'))).headers.get('www-authenticate');
  expect(challenge).toContain(`realm="http://${front.host}/token"`);
  expect(front.settings['WHARF_PUBLIC_URL']).toMatch(/^http:\/\/.*LoadBalancer.*DNSName$/);
});

requireTools('skopeo').describe('skopeo', () => {
  test('pushes a layer of 24 MiB in one piece, and pulls it from the bucket', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'wharf-front-skopeo-'));
    try {
      const { image, manifest } = await writeLayout(folder, randomBytes(24 * MIB));
      const skopeo = (...args: string[]) => promisify(execFile)('skopeo', args);
      const there = `docker://${front.host}/team/heavy:1`;
      const creds = `someone:${ADMIN_TOKEN}`;
      await skopeo('copy', '--dest-tls-verify=false', '--dest-creds', creds, image, there);
      const back = ['--src-tls-verify=false', '--src-creds', creds];
      await skopeo('copy', ...back, there, `oci:${join(folder, 'back')}:1`);
      const bytes = await readFile(join(folder, 'back', 'blobs', 'sha256', digestHex(manifest)));
      const [layer] = (JSON.parse(bytes.toString()) as { layers: { digest: string; size: number }[] }).layers;
      expect(layer?.size).toBeGreaterThan(24 * MIB);
      const answer = await fetch(at(`/v2/team/heavy/blobs/${layer?.digest}`), { headers: bearer, redirect: 'manual' });
      expect([answer.status, answer.headers.get('location')?.startsWith(front.services.endpoints.s3)]).toEqual([
        307,
        true,
      ]);
    } finally {
      await rm(folder, { recursive: true });
    }
  }, 60_000);
});

requireTools('skopeo', 'docker-registry', 'htpasswd').describe('a cache of a registry that wants a password', () => {
  test('is filled by a pull, a layer in parts among it, and goes on when that registry is gone', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'wharf-front-cache-'));
    const user = { username: 'ci', password: 'secret' };
    const upstream = await startCncfRegistry(user);
    try {
      const { image, manifest } = await writeLayout(folder, randomBytes(12 * MIB));
      const skopeo = (...args: string[]) => promisify(execFile)('skopeo', ['copy', ...args]);
      const there = `docker://${upstream.host}/team/app:1`;
      await skopeo('--dest-tls-verify=false', '--dest-creds', `${user.username}:${user.password}`, image, there);
      // As the API keeps both: in the table, the password sealed.
      const store = openFrontStore();
      await new RegistryLogins(store.secrets).put(upstream.host, user);
      await new Upstreams(store).put({ prefix: 'hub', registry: upstream.host, tagTtlSeconds: 0 });
      const name = `${front.host}/hub/team/app:1`;
      const creds = `someone:${ADMIN_TOKEN}`;
      const pull = async (to: string): Promise<Buffer> => {
        const layout = join(folder, to);
        await skopeo('--src-tls-verify=false', '--src-creds', creds, `docker://${name}`, `oci:${layout}:1`);
        return readFile(join(layout, 'blobs', 'sha256', digestHex(manifest)));
      };
      // Others asked the front before, which then knows for seconds that there are no caches.
      await until(async () => (await fetch(at('/v2/hub/team/app/manifests/1'), { headers: bearer })).ok);
      const first = await pull('first');
      await upstream.kill();
      expect((await pull('second')).equals(first)).toBe(true);
      const { layers } = JSON.parse(first.toString()) as { layers: readonly { readonly digest: string }[] };
      const layer = await fetch(at(`/v2/hub/team/app/blobs/${layers[0]?.digest}`), {
        headers: bearer,
        redirect: 'manual',
      });
      expect(layer.headers.get('location')).toContain(front.services.endpoints.s3);
      const pushed = skopeo('--dest-tls-verify=false', '--dest-creds', creds, image, `docker://${name}`);
      await expect(pushed).rejects.toMatchObject({ stderr: expect.stringContaining('cache of another registry') });
    } finally {
      await upstream.close();
      await rm(folder, { recursive: true });
    }
  }, 60_000);
});

test('is an image that the builder makes by COPY alone, of whatever has Node', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'wharf-front-image-'));
  const lab = await openImageResourceLab();
  try {
    const passwd = 'root:x:0:0::/:/x\nnode:x:1000:1000::/home/node:/x\n';
    const base = await lab.asset({ Dockerfile: 'FROM scratch\nCOPY passwd /etc/passwd\n', passwd });
    const { source } = wantedImage((await madeIn(lab, base, 'base')).ResourceProperties);
    const { context } = synthesiseFront(folder, { baseImage: `${source.repository}:${source.tag}` });
    const names = await readdir(context);
    const files = await Promise.all(names.map(async (name) => [name, await readFile(join(context, name), 'utf8')]));
    const front = await madeIn(lab, await lab.asset(Object.fromEntries(files) as Record<string, string>), 'front');
    const made = wantedImage(front.ResourceProperties).source;
    const { config, entries } = await imageIn(lab, made);
    expect(config).toMatchObject({
      User: 'node',
      Entrypoint: ['/usr/local/bin/node', `/wharf/${FRONT_BUNDLE}`],
      ExposedPorts: { '8080/tcp': {} },
    });
    expect(entries).toEqual(expect.arrayContaining([`-rw-r--r-- 0/0 wharf/${FRONT_BUNDLE}`]));
  } finally {
    await lab.close();
    await rm(folder, { recursive: true });
  }
});

test('lets a push under way end when it is told to stop, and is then gone', async () => {
  const agent = new Agent({ keepAlive: true });
  const started = await fetch(at('/v2/team/late/blobs/uploads/'), { method: 'POST', headers: bearer });
  const location = started.headers.get('location') ?? '';
  const piece = randomBytes(MIB);
  const patch = request(at(location), { method: 'PATCH', headers: bearer, agent });
  const answered = once(patch, 'response') as Promise<[IncomingMessage]>;
  // Not before the front has the request: what is only on its way may be refused.
  await new Promise<void>((resolve) => patch.write(piece, () => resolve()));
  await until(async () => (await uploaded(location)) >= 0);
  front.child.kill('SIGTERM');
  await until(() => refused());
  patch.end(piece);
  const [answer] = await answered;
  answer.resume();
  expect([answer.statusCode, answer.headers['range']]).toEqual([202, `0-${2 * MIB - 1}`]);
  agent.destroy();
  expect(await front.ended).toBe(0);
});

/** The store of the front, as the API function opens it. */
function openFrontStore(): AwsStore {
  const { settings, environment } = front;
  Object.assign(process.env, environment);
  return openAwsStore(readAwsConfig({ ...settings, ...environment }, ...STORE_SETTINGS));
}

/** As CloudFormation wants it made, and it is. */
async function madeIn(lab: ImageResourceLab, key: string, repository: string): Promise<ImageEvent> {
  lab.ecr.repositories.add(repository);
  const ResourceProperties = {
    ContextBucket: 'assets',
    ContextKey: key,
    Repository: repository,
    Dockerfile: 'Dockerfile',
    Platform: 'linux/arm64',
  };
  const event: ImageEvent = { RequestType: 'Create', RequestId: repository, ResourceProperties };
  expect((await lab.run(event)).progress.IsComplete).toBe(true);
  return event;
}

/** Its configuration, and what its last layer holds. */
async function imageIn(lab: ImageResourceLab, { repository, tag }: { repository: string; tag: string }) {
  const json = async (bytes: Uint8Array | undefined): Promise<Record<string, unknown>> =>
    JSON.parse(Buffer.from(bytes ?? []).toString()) as Record<string, unknown>;
  const manifest = await lab.registry.manifest(repository, { tag });
  const { config, layers } = (await json(manifest?.bytes)) as {
    config: { digest: Digest };
    layers: { digest: Digest }[];
  };
  const read = async (digest: Digest | undefined): Promise<Buffer> => {
    const chunks: Uint8Array[] = [];
    const blob = digest === undefined ? undefined : await lab.content.open(digest);
    for await (const chunk of blob ?? []) chunks.push(chunk as Uint8Array);
    return Buffer.concat(chunks);
  };
  const listed = execFileSync('tar', ['--numeric-owner', '-tvzf', '-'], { input: await read(layers.at(-1)?.digest) });
  const lines = listed.toString().trim().split('\n');
  return {
    config: (await json(await read(config.digest)))['config'],
    entries: lines.map((line) => line.replace(/ +\d+ \S+ \S+ /, ' ')),
  };
}

/** Bytes that the front has of an upload; below 0 when it has not begun. */
async function uploaded(location: string): Promise<number> {
  const { status } = await fetch(at(location), { headers: { ...bearer, connection: 'close' } });
  return status === 204 ? 0 : -1;
}

async function refused(): Promise<boolean> {
  try {
    await fetch(at('/healthz'), { headers: { connection: 'close' } });
    return false;
  } catch {
    return true;
  }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
}
