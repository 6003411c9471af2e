/** A client that pushes, mounts, tags and deletes until the server dies, and writes down what it was told. */
import type { Digest } from '../../lib/oci/index.js';
import type { Random } from '../interleave/random.js';
import { bytesOf, SetBuilder, type TestManifest } from '../protocol/registry/images.js';
import { type UploadStyle, Wire } from '../protocol/registry/wire.js';

export const CRASH_REPOSITORIES = ['crash/a', 'crash/b'] as const;
const STYLES: readonly UploadStyle[] = ['post-put', 'single-post', 'stream', 'chunks', 'chunks-put-last'];
const SHARED = Array.from({ length: 6 }, (_, i) => bytesOf(`shared ${i}`, 3000 + i));

/** What is known of one name: a tag, or a manifest of a repository. */
export interface Known {
  /** What it must be now: for a tag its digest, for a manifest itself; undefined: it was deleted. */
  readonly digest: Digest | undefined;
  readonly atMs: number;
  /** A request about it was cut off, so it may be either. */
  readonly isOpen: boolean;
}

export interface Told {
  /** By `<repository>:<tag>`; each tag belongs to one writer. */
  readonly tags: Map<string, Known>;
  /** By `<repository>@<digest>`. */
  readonly manifests: Map<string, Known>;
  /** A server answered. */
  onAnswer(): void;
}

export class Writer {
  private made = 0;
  private readonly own: { readonly repository: string; readonly manifest: TestManifest }[] = [];

  constructor(
    private readonly name: string,
    private readonly random: Random,
    private readonly told: Told,
  ) {}

  /** @param nowMs the server's clock */
  async writeUntilDead(url: string, token: string, nowMs: () => number): Promise<void> {
    const wire = new Wire({ url, tokens: { admin: token, deploy: '', read: '' } });
    try {
      for (;;) {
        const repository = this.random.pick(CRASH_REPOSITORIES);
        const choice = this.random.next();
        if (choice < 0.6) await this.push(wire, repository, nowMs);
        else if (choice < 0.8) await this.deleteTag(wire, repository, nowMs);
        else await this.deleteManifest(wire, nowMs);
      }
    } catch (error) {
      // fetch tells of a lost connection as a TypeError.
      if ((error as Error).name !== 'TypeError') throw error;
    }
  }

  private async push(wire: Wire, repository: string, nowMs: () => number): Promise<void> {
    const set = new SetBuilder(`${this.name}/${this.made++}`);
    const layers = [set.blob(this.random.pick(SHARED)), set.layer(2000)];
    set.image({}, layers);
    for (const { digest, bytes } of set.blobs) {
      const at = `/v2/${repository}/blobs/`;
      if (this.expect(await wire.send('HEAD', `${at}${digest}`), 200, 404) === 200) continue;
      const other = CRASH_REPOSITORIES.find((each) => each !== repository) ?? '';
      if (this.random.chance(0.3)) {
        const mount = await wire.send('POST', `${at}uploads/?mount=${digest}&from=${other}`);
        if (this.expect(mount, 201, 202) === 201) continue;
      }
      this.expect(await wire.push(repository, bytes, this.random.pick(STYLES), digest), 201);
    }
    const [manifest] = set.manifests;
    if (manifest === undefined) throw new Error('no manifest');
    const tag = this.random.chance(0.2) ? undefined : this.tag();
    const done = [
      begin(this.told.manifests, `${repository}@${manifest.digest}`, manifest.digest, nowMs),
      ...(tag === undefined ? [] : [begin(this.told.tags, `${repository}:${tag}`, manifest.digest, nowMs)]),
    ];
    this.expect(await wire.put(repository, tag ?? manifest.digest, manifest), 201);
    for (const each of done) each();
    this.own.push({ repository, manifest });
  }

  private async deleteTag(wire: Wire, repository: string, nowMs: () => number): Promise<void> {
    const tag = this.tag();
    const done = begin(this.told.tags, `${repository}:${tag}`, undefined, nowMs);
    this.expect(await wire.send('DELETE', `/v2/${repository}/manifests/${tag}`), 202, 404);
    done();
  }

  private async deleteManifest(wire: Wire, nowMs: () => number): Promise<void> {
    if (this.own.length === 0) return;
    const [taken] = this.own.splice(this.random.below(this.own.length), 1);
    if (taken === undefined) return;
    const { repository, manifest } = taken;
    // One that is open may point elsewhere by now, and then it stays.
    const tags = [...this.told.tags].filter(
      ([name, { digest, isOpen }]) => !isOpen && name.startsWith(`${repository}:`) && digest === manifest.digest,
    );
    const done = [
      begin(this.told.manifests, `${repository}@${manifest.digest}`, undefined, nowMs),
      ...tags.map(([name]) => begin(this.told.tags, name, undefined, nowMs)),
    ];
    this.expect(await wire.send('DELETE', `/v2/${repository}/manifests/${manifest.digest}`), 202, 404);
    for (const each of done) each();
  }

  private tag(): string {
    return `${this.name}-${this.random.below(4)}`;
  }

  private expect(response: { readonly status: number; readonly bytes: Buffer }, ...wanted: number[]): number {
    this.told.onAnswer();
    if (wanted.includes(response.status)) return response.status;
    throw new Error(`${response.status} instead of ${wanted.join(' or ')}: ${response.bytes.toString()}`);
  }
}

function begin(known: Map<string, Known>, name: string, digest: Digest | undefined, nowMs: () => number): () => void {
  known.set(name, { digest: known.get(name)?.digest, atMs: nowMs(), isOpen: true });
  return () => void known.set(name, { digest, atMs: nowMs(), isOpen: false });
}
