/**
 * Makes a base image from this machine's own static busybox and pushes it like any registry client would: so that the
 * demo, the examples and a first try need no internet. Run by itself it pushes to the platform of `.wharf/`:
 *   npm run base-image [-- DATA_FOLDER]
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { readConnection } from '../lib/host/embedded/data-folder.js';
import { compress, type LayerEntry, type TarMember, writeTar } from '../lib/layers/index.js';
import { type Digest, digestOf, MediaType, platformOfArch } from '../lib/oci/index.js';
import { RegistryClient } from '../lib/registry/client/index.js';
import { systemClock } from '../lib/store/system/clock-system.js';

export const BASE_IMAGE = { repository: 'busybox', tag: '1' } as const;

export interface PushTarget {
  /** Host and port. */
  readonly registry: string;
  readonly token: string;
}

/** @returns the digest of the manifest */
export async function pushBaseImage(target: PushTarget): Promise<Digest> {
  const client = new RegistryClient(
    { clock: systemClock },
    { registry: target.registry, insecure: true, credentials: { username: 'wharf', password: target.token } },
  );
  const tar = await collect(writeTar(baseFiles()));
  const layer = await collect(compress('gzip')(chunk(tar)));
  const config = Buffer.from(
    JSON.stringify({
      ...platformOfArch(process.arch),
      config: { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], Cmd: ['sh'] },
      rootfs: { type: 'layers', diff_ids: [digestOf(tar)] },
      history: [{ created_by: 'busybox-static of this machine' }],
    }),
  );
  for (const bytes of [layer, config]) {
    const blob = { digest: digestOf(bytes), sizeBytes: bytes.length, open: () => chunk(bytes) };
    await client.uploadBlob(BASE_IMAGE.repository, blob);
  }
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: { mediaType: MediaType.ociConfig, digest: digestOf(config), size: config.length },
      layers: [{ mediaType: MediaType.ociLayerGzip, digest: digestOf(layer), size: layer.length }],
    }),
  );
  return (await client.putManifest(BASE_IMAGE.repository, BASE_IMAGE.tag, manifest, MediaType.ociManifest)).digest;
}

/** The same root as a build context whose Dockerfile copies it: for a registry that clients do not reach. */
export function* baseContext(): Generator<TarMember> {
  yield file('Dockerfile', 'FROM scratch\nCOPY root/ /\nENV PATH=/usr/sbin:/usr/bin:/sbin:/bin\nCMD ["sh"]\n');
  yield directory('root');
  for (const { entry, body } of baseFiles()) yield { entry: { ...entry, path: `root/${entry.path}` }, body };
}

/** A root with busybox, a link for each of its commands, and the few files programs expect. Sorted, dated 0. */
function* baseFiles(): Generator<TarMember> {
  const busybox = execFileSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).trim();
  const commands = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n').sort();
  yield directory('bin');
  yield file('bin/busybox', readFileSync(busybox), 0o755);
  for (const command of commands) if (command !== 'busybox') yield link(`bin/${command}`, 'busybox');
  yield directory('etc');
  yield file('etc/group', 'root:x:0:\nnobody:x:65534:\n');
  yield file('etc/nsswitch.conf', 'hosts: files dns\n');
  yield file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n');
  yield directory('root', 0o700);
  yield directory('tmp', 0o1777);
  yield directory('usr');
  yield directory('usr/bin');
  yield link('usr/bin/env', '../../bin/busybox');
  yield directory('var');
  yield directory('var/tmp', 0o1777);
}

const OWNER = { uid: 0, gid: 0, mtimeSeconds: 0 } as const;

function directory(path: string, mode = 0o755): TarMember {
  return member({ path, type: 'directory', mode, sizeBytes: 0, ...OWNER });
}

function link(path: string, linkTarget: string): TarMember {
  return member({ path, type: 'symlink', mode: 0o777, sizeBytes: 0, linkTarget, ...OWNER });
}

function file(path: string, content: string | Buffer, mode = 0o644): TarMember {
  const bytes = Buffer.from(content);
  return member({ path, type: 'file', mode, sizeBytes: bytes.length, ...OWNER }, bytes);
}

function member(entry: LayerEntry, bytes: Uint8Array = new Uint8Array()): TarMember {
  return { entry, body: chunk(bytes) };
}

async function* chunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const each of source) chunks.push(each);
  return Buffer.concat(chunks);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const folder = process.argv[2] ?? '.wharf';
  const connection = await readConnection(folder);
  if (connection === undefined) {
    console.error(`base-image: no platform has been started on ${folder}; run npm start first`);
    process.exit(1);
  }
  const digest = await pushBaseImage(connection);
  console.log(`${connection.registry}/${BASE_IMAGE.repository}:${BASE_IMAGE.tag}@${digest}`);
}
