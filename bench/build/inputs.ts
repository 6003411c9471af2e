/** What is built: base images as OCI layouts, and contexts; made from a seed, the same for every builder and run. */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { platformOfArch } from '../../lib/oci/index.js';
import { baseImage } from '../../test/differential/base-images.js';
import { timed } from '../process.js';

/** A root with busybox, and so many bytes beside it that do not compress. */
export async function busyboxLayout(folder: string, extraBytes = 0): Promise<string> {
  const root = join(folder, 'root');
  await mkdir(join(root, 'extra'), { recursive: true });
  await timed([
    ...['sh', '-euc', `cd ${root} && mkdir -p bin dev etc proc sys tmp && cp "$(command -v busybox)" bin/busybox`],
  ]);
  await timed([
    'sh',
    '-euc',
    `cd ${root}/bin && for name in $(./busybox --list); do [ $name = busybox ] || ln busybox $name; done`,
  ]);
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  await writeFile(join(root, 'etc/group'), 'root:x:0:\n');
  const piece = 16 * 1024 * 1024;
  for (let made = 0; made < extraBytes; made += piece) {
    await writeFile(join(root, 'extra', String(made)), randomBytes(Math.min(piece, extraBytes - made)));
  }
  const tar = join(folder, 'layer.tar');
  await timed(['tar', '--numeric-owner', '--sort=name', '--mtime=@1700000000', '-cf', tar, '-C', root, '.']);
  await rm(root, { recursive: true });
  const layout = await writeLayout(folder, tar);
  await rm(tar);
  return layout;
}

/** Debian by debootstrap, kept from run to run. */
export async function debianLayout(folder: string): Promise<string> {
  const { layer } = await baseImage('debian');
  const tar = join(folder, 'layer.tar');
  await mkdir(folder, { recursive: true });
  await copyFile(layer, tar);
  return writeLayout(folder, tar);
}

async function writeLayout(folder: string, tar: string): Promise<string> {
  const layout = join(folder, 'layout');
  const blobs = join(layout, 'blobs/sha256');
  await mkdir(blobs, { recursive: true });
  const diffId = await sha256(tar);
  await timed(['sh', '-c', `gzip -1 -n < ${tar} > ${layout}/layer`]);
  const layer = await sha256(join(layout, 'layer'));
  const { size } = await stat(join(layout, 'layer'));
  await rename(join(layout, 'layer'), join(blobs, layer));
  const store = async (document: object): Promise<{ digest: string; size: number }> => {
    const bytes = Buffer.from(JSON.stringify(document));
    const hex = createHash('sha256').update(bytes).digest('hex');
    await writeFile(join(blobs, hex), bytes);
    return { digest: `sha256:${hex}`, size: bytes.length };
  };
  const type = 'application/vnd.oci.image';
  const config = await store({
    ...platformOfArch(process.arch),
    created: '2024-01-02T03:04:05Z',
    config: { Env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'], Cmd: ['sh'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${diffId}`] },
    history: [{ created: '2024-01-02T03:04:05Z', created_by: 'made on this machine' }],
  });
  const manifest = await store({
    schemaVersion: 2,
    mediaType: `${type}.manifest.v1+json`,
    config: { mediaType: `${type}.config.v1+json`, ...config },
    layers: [{ mediaType: `${type}.layer.v1.tar+gzip`, digest: `sha256:${layer}`, size }],
  });
  const manifests = [{ mediaType: `${type}.manifest.v1+json`, ...manifest }];
  await writeFile(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
  await writeFile(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  return layout;
}

/** Files of very different sizes, like a folder of sources and modules: about three quarters text, the rest not compressible. */
export async function manyFiles(folder: string, files: number, bytes: number): Promise<void> {
  const random = sequence(7);
  const words = Array.from({ length: 4000 }, () => Math.floor(random() * 36 ** 6).toString(36));
  const weights = Array.from({ length: files }, () => Math.exp(random() * 6));
  const total = weights.reduce((sum, each) => sum + each, 0);
  for (const [i, weight] of weights.entries()) {
    const directory = join(folder, 'src', String(i % 97), String(i % 11));
    if (i < 97 * 11) await mkdir(directory, { recursive: true });
    const size = Math.round((weight / total) * bytes);
    const isText = i % 4 !== 3;
    const body = isText ? text(words, size, random) : noise(size, random);
    await writeFile(join(directory, `file-${i}.${isText ? 'js' : 'bin'}`), body);
  }
}

function text(words: readonly string[], size: number, random: () => number): Buffer {
  const parts: string[] = [];
  for (let length = 0; length < size;) {
    const word = words[Math.floor(random() * random() * words.length)] ?? '';
    parts.push(word);
    length += word.length + 1;
  }
  return Buffer.from(parts.join(' ').slice(0, size));
}

function noise(size: number, random: () => number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i + 4 <= size; i += 4) bytes.writeUInt32LE(Math.floor(random() * 2 ** 32), i);
  return bytes;
}

/** mulberry32: the same numbers on every machine. */
function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
