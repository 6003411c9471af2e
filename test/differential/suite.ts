/** Runs cases on one peer and one platform of ours; gives what is different and why. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BaseImageFile, baseImage, type BaseName, cacheFolder } from './base-images.js';
import { compareByHand, expectedRefusal } from './by-hand.js';
import { type Case, expectedListing, stage } from './cases.js';
import { compareConfigs, compareListings, type Difference } from './compare.js';
import { DockerEngine } from './docker-engine.js';
import { explain } from './explained.js';
import type { BuildInput, BuiltImage } from './image-files.js';
import { type Listing, listImage, type ListingCache } from './listing.js';
import type { Peer } from './peer.js';
import { BuildFailed, WharfPlatform } from './wharf-platform.js';

export interface CaseOutcome {
  readonly name: string;
  /** Unexplained. */
  readonly differences: readonly Difference[];
  /** Ids of the explanations that were needed. */
  readonly explained: ReadonlySet<string>;
  /** One of the builders failed, or both where that is not what the case is about. */
  readonly error?: string;
  readonly files: number;
  readonly milliseconds: number;
}

export class DifferentialSuite {
  private constructor(
    private readonly folder: string,
    private readonly wharf: WharfPlatform,
    private readonly peer: Peer,
    private readonly bases: readonly BaseImageFile[],
  ) {}

  /** @param bases that the cases to come need */
  static async start(
    bases: readonly BaseName[],
    startPeer: () => Promise<Peer> = () => DockerEngine.start(),
  ): Promise<DifferentialSuite> {
    const images = await Promise.all(bases.map(baseImage));
    const folder = await mkdtemp(join(tmpdir(), 'wharf-cases-'));
    const peer = await startPeer();
    let wharf: WharfPlatform | undefined;
    try {
      wharf = await WharfPlatform.start();
      for (const image of images) await Promise.all([peer.load(image), wharf.load(image)]);
      return new DifferentialSuite(folder, wharf, peer, images);
    } catch (error) {
      await wharf?.close();
      await peer.close();
      throw error;
    }
  }

  async run(cases: readonly Case[], onOutcome: (outcome: CaseOutcome) => void): Promise<readonly CaseOutcome[]> {
    const waiting = [...cases];
    const outcomes: CaseOutcome[] = [];
    const work = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const outcome = await this.runOne(next);
        outcomes.push(outcome);
        onOutcome(outcome);
      }
    };
    await Promise.all(Array.from({ length: this.peer.parallelism }, work));
    return outcomes;
  }

  async close(): Promise<void> {
    await this.wharf.close();
    await this.peer.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  async runOne(one: Case): Promise<CaseOutcome> {
    const started = performance.now();
    const folder = join(this.folder, one.name);
    const seen = await this.compare(one, folder).catch((error: unknown) => ({
      differences: [],
      files: 0,
      error: error instanceof Error ? error.message : String(error),
    }));
    if (process.env['WHARF_KEEP_CASES'] === undefined) await rm(folder, { recursive: true, force: true });
    const { open, used } = explain(one.name, seen.differences, this.peer.explained);
    const milliseconds = Math.round(performance.now() - started);
    return { name: one.name, ...seen, differences: open, explained: used, milliseconds };
  }

  private async compare(one: Case, folder: string): Promise<{ differences: readonly Difference[]; files: number }> {
    const input = await stage(one, folder);
    const refusal = one.byHand ? expectedRefusal(await expectedListing(one)) : undefined;
    if (refusal !== undefined) return { differences: await this.refused(input, folder, refusal), files: 0 };
    const ours = await this.wharf.build(input, join(folder, 'wharf'));
    const listing = await this.list(ours);
    if (one.byHand && !this.peer.buildsAll) {
      const built = { listing, config: ours.config };
      const differences = compareByHand(await expectedListing(one), built, await this.baseListing(ours));
      return { differences, files: listing.files.size };
    }
    const theirs = await this.peer.build(input, join(folder, 'peer'));
    const differences = [
      ...compareListings(await this.list(theirs), listing),
      ...compareConfigs(theirs.config, ours.config),
    ];
    return { differences, files: listing.files.size };
  }

  private async refused(input: BuildInput, folder: string, code: string): Promise<readonly Difference[]> {
    const seen = await this.wharf.build(input, join(folder, 'wharf')).then(
      () => 'built',
      (error: unknown) => {
        if (error instanceof BuildFailed) return error.code;
        throw error;
      },
    );
    const theirs = this.peer.buildsAll ? await this.outcomeOfPeer(input, folder) : 'refused';
    if (seen === code && theirs === 'refused') return [];
    return [{ subject: 'the build', field: 'outcome', docker: this.peer.buildsAll ? theirs : code, wharf: seen }];
  }

  private outcomeOfPeer(input: BuildInput, folder: string): Promise<'built' | 'refused'> {
    return this.peer.build(input, join(folder, 'peer')).then(
      () => 'built',
      () => 'refused',
    );
  }

  private async list(image: BuiltImage): Promise<Listing> {
    return listImage(image.layers, await this.listingCache());
  }

  private async baseListing(image: BuiltImage): Promise<Listing> {
    const [bottom] = image.layers;
    const isBase = this.bases.some(({ diffId }) => diffId === bottom?.diffId);
    return listImage(isBase && bottom !== undefined ? [bottom] : [], await this.listingCache());
  }

  private async listingCache(): Promise<ListingCache> {
    const folder = join(cacheFolder(), 'listings');
    await mkdir(folder, { recursive: true });
    return { folder, layers: this.bases.map(({ diffId }) => diffId) };
  }
}

/** Bases that a Dockerfile names. */
export function basesOf(text: string): readonly BaseName[] {
  const names: readonly BaseName[] = ['busybox', 'debian'];
  return names.filter((name) => new RegExp(`\\b${name}:`).test(text));
}
