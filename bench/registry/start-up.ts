/** How long a registry that holds many manifests takes from its process's start to its first answer. */
import { createHash } from 'node:crypto';
import { median, short, table } from '../figures.js';
import type { Session } from '../session.js';
import { LoadClient } from './client.js';
import { ImageMaker, MANIFEST_TYPE, push } from './images.js';
import type { PeerKind } from './peer.js';

const REPOSITORIES = 50;
const CLIENTS = 32;

export async function startUp(
  session: Session,
  kinds: readonly PeerKind[],
  options: { readonly manifests: number; readonly rounds: number },
): Promise<string> {
  const rows = [['', 'seconds to the first manifest']];
  for (const kind of kinds) {
    const peer = await kind.create(session);
    await peer.start();
    const client = new LoadClient(peer.url, peer.authorization, CLIENTS);
    const known = await fill(client, options.manifests);
    client.close();
    const seconds: number[] = [];
    for (let round = 0; round < options.rounds; round++) {
      await peer.stop();
      const started = performance.now();
      await peer.start();
      const fresh = new LoadClient(peer.url, peer.authorization, 1);
      await fresh.send(200, 'GET', known, { accept: MANIFEST_TYPE });
      seconds.push((performance.now() - started) / 1000);
      fresh.close();
    }
    await peer.stop();
    session.record('registry-start-up', { peer: peer.name, manifests: options.manifests, seconds });
    rows.push([peer.name, short(median(seconds))]);
  }
  await session.clear();
  return table(rows);
}

/** Manifests of the same blobs that differ in an annotation, over some repositories. Gives the path of one. */
async function fill(client: LoadClient, manifests: number): Promise<string> {
  const maker = new ImageMaker();
  const images = Array.from({ length: REPOSITORIES }, () => maker.image(1000, 'unique'));
  for (const image of images) await push(client, image, 'monolith');
  let next = 0;
  let known = '';
  const worker = async (): Promise<void> => {
    for (let i = next++; i < manifests; i = next++) {
      const image = images[i % images.length];
      if (image === undefined) return;
      const document = { ...(JSON.parse(image.manifest.toString()) as object), annotations: { number: String(i) } };
      const body = Buffer.from(JSON.stringify(document));
      const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`;
      const path = `/v2/${image.repository}/manifests/${digest}`;
      await client.send(201, 'PUT', path, { body: [body], contentType: MANIFEST_TYPE });
      known = path;
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, worker));
  return known;
}
