/**
 * Sources whose files are there before any step runs: the context, and what ADD fetches. Their part of a key is what
 * they hold, known without making a layer.
 */
import { AppError } from '../../errors/index.js';
import type { ImageTree } from '../../layers/index.js';
import type { Digest } from '../../oci/index.js';
import { withPlace } from '../build-errors.js';
import type { BuildContext } from '../context/context.js';
import type { Selection } from '../keys/keys.js';
import { missingInContext, missingInTree } from '../steps/missing-source.js';
import type { RemoteFiles } from '../fetch/remote-files.js';
import { mismatch } from '../fetch/remote-http.js';
import { identify, type SelectionIdentity, selectSources, SourceMissing } from '../keys/selection.js';
import type { RemoteRef, SourceRef, Step } from '../plan/steps.js';

export type SourceAtHand = SourceRef & { readonly from: 'context' | 'remote' };

export class SourcesAtHand {
  private readonly remotes = new Map<string, Promise<RemoteFiles>>();
  private readonly identities = new Map<string, Promise<SelectionIdentity>>();
  private readonly contexts = new Map<Digest, Promise<BuildContext>>();

  constructor(
    private readonly context: BuildContext,
    private readonly fetch: (remote: RemoteRef) => Promise<RemoteFiles>,
    private readonly open: (context: Digest) => Promise<BuildContext>,
  ) {}

  /**
   * What a step selects is looked at once: its key is asked for before the step is made and after.
   * @throws AppError with the step's place: BUILD_COPY_SOURCE_MISSING, BUILD_CHECKSUM_…, and what fetching throws
   */
  identify(step: Step, selection: Selection, exclude: readonly string[]): Promise<SelectionIdentity> {
    const key = JSON.stringify([step.number, selection, exclude]);
    const known = this.identities.get(key) ?? this.find(step, selection, exclude);
    this.identities.set(key, known);
    return known;
  }

  private async find(step: Step, selection: Selection, exclude: readonly string[]): Promise<SelectionIdentity> {
    const { source } = selection;
    try {
      return source.from === 'remote'
        ? await this.inRemote(source.remote, selection, exclude)
        : await this.inContext(await this.contextOf(source), selection, exclude);
    } catch (error) {
      throw withPlace(error, step.place);
    }
  }

  async tree(source: SourceAtHand): Promise<ImageTree> {
    return source.from === 'remote' ? (await this.remote(source.remote)).tree : (await this.contextOf(source)).tree;
  }

  /** Begins to fetch, so that everything is on its way at once. Errors come when the files are asked for. */
  begin(sources: readonly SourceRef[]): void {
    for (const source of sources) {
      if (source.from === 'remote') this.remote(source.remote).catch(() => undefined);
    }
  }

  /** Waits until nothing is being fetched any more. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.remotes.values());
  }

  /** Each place on the network is asked once in a build. */
  private remote(remote: RemoteRef): Promise<RemoteFiles> {
    const key = JSON.stringify(remote);
    const known = this.remotes.get(key) ?? this.fetch(remote);
    this.remotes.set(key, known);
    return known;
  }

  private async contextOf(source: SourceRef): Promise<BuildContext> {
    if (source.from !== 'context' || source.context === undefined) return this.context;
    const known = this.contexts.get(source.context) ?? this.open(source.context);
    this.contexts.set(source.context, known);
    return known;
  }

  private async inContext(
    context: BuildContext,
    selection: Selection,
    exclude: readonly string[],
  ): Promise<SelectionIdentity> {
    try {
      await this.checkChecksum(context, selection);
      return await context.identify(selection, exclude);
    } catch (error) {
      throw error instanceof SourceMissing ? missingInContext(error, context) : error;
    }
  }

  private async inRemote(
    remote: RemoteRef,
    selection: Selection,
    exclude: readonly string[],
  ): Promise<SelectionIdentity> {
    const { tree, fileHashes } = await this.remote(remote);
    try {
      return await identify(tree, selection, exclude, fileHashes);
    } catch (error) {
      throw error instanceof SourceMissing ? missingInTree(error, tree, remote.url) : error;
    }
  }

  /** `ADD --checksum` of a file of the context. @throws AppError BUILD_CHECKSUM_MISMATCH, BUILD_CHECKSUM_INVALID */
  private async checkChecksum(context: BuildContext, { path, literal, checksum }: Selection): Promise<void> {
    if (checksum === undefined) return;
    const [only, ...others] = selectSources(context.tree, path, literal);
    if (only?.entry?.type !== 'file' || others.length > 0) {
      throw new AppError('BUILD_CHECKSUM_INVALID', `--checksum needs one file, and ${path} is not one`, {
        hint: 'the path of a file',
        details: { word: '--checksum' },
      });
    }
    const actual = `sha256:${context.tree.sha256(only.entry) ?? ''}`;
    if (actual !== checksum) throw mismatch(path, checksum, actual);
  }
}
