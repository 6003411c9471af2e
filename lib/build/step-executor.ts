/** Makes the layer of one step that the cache does not have. */
import { IgnoreFile } from '../dockerfile/index.js';
import { AppError } from '../errors/index.js';
import { completeChangeset, type ImageTree, isWhiteout, type TarMember, writeLayer } from '../layers/index.js';
import type { LayerIndexes } from '../layers/index.js';
import { formatPlatform, type Platform, platformMatches } from '../oci/index.js';
import type { ContentStore, Ids } from '../store/index.js';
import type { EmitEvent } from './build-log.js';
import type { Change } from './changed-tree.js';
import { changeMembers, copyChanges } from './copy-step.js';
import { missingInTree } from './missing-source.js';
import { findOwner } from './owners.js';
import { runStep } from './run-step.js';
import type { Sandbox, SandboxMount } from './sandbox.js';
import { SourceMissing } from './selection.js';
import type { CachedStep } from './step-cache.js';
import type { CopyOp, Layer, RunMount, RunOp, SourceRef, Step } from './steps.js';
import { workdirChanges } from './workdir-step.js';

export interface StepExecutorDeps {
  readonly content: ContentStore;
  readonly indexes: LayerIndexes;
  readonly ids: Ids;
  readonly sandbox?: Sandbox;
  /** Of this machine: what RUN can run. */
  readonly platform: Platform;
}

export interface ExecutionInput {
  readonly step: Step;
  readonly layers: readonly Layer[];
  /** `layers`, merged. */
  readonly target: ImageTree;
  /** Time of what the step makes without a time of its own. */
  readonly timeSeconds: number;
  readonly source: (source: SourceRef) => Promise<ImageTree>;
  /** Layers that a source stands for; the context becomes one. */
  readonly sourceLayers: (source: SourceRef) => Promise<readonly Layer[]>;
  readonly emit: EmitEvent;
  readonly signal: AbortSignal;
}

export interface Execution {
  readonly step: CachedStep;
  /** SHA-256 (hex) of the files that were copied, by inode of the source. */
  readonly hashes: ReadonlyMap<string, string>;
}

export class StepExecutor {
  constructor(private readonly deps: StepExecutorDeps) {}

  /** @throws AppError without a place, or the signal's reason */
  async execute(input: ExecutionInput): Promise<Execution> {
    const { step, target, timeSeconds } = input;
    const { op } = step;
    const warn = (message: string): void => input.emit({ type: 'warning', message, line: step.place.line });
    const hashes = new Map<string, string>();
    switch (op.kind) {
      case 'workdir':
        return this.write(input, await workdirChanges(op, target, timeSeconds, warn), hashes);
      case 'copy':
        return this.write(input, await this.copy(op, input, warn), hashes);
      case 'run':
        return { step: await this.run({ ...step, op }, input), hashes };
      default:
        return op satisfies never;
    }
  }

  private async copy(op: CopyOp, input: ExecutionInput, warn: (message: string) => void): Promise<readonly Change[]> {
    const exclude = op.exclude.length === 0 ? undefined : new IgnoreFile(op.exclude);
    const source = await input.source(op.source);
    try {
      return await copyChanges({
        op,
        target: input.target,
        source,
        ...(op.owner === undefined ? {} : { owner: await findOwner(input.target, op.owner) }),
        ...(exclude === undefined ? {} : { exclude: (path: string) => exclude.ignores(path) }),
        timeSeconds: input.timeSeconds,
        content: this.deps.content,
        warn,
        signal: input.signal,
      });
    } catch (error) {
      if (!(error instanceof SourceMissing)) throw error;
      const where = op.source.from === 'image' ? `image ${op.source.image.name}` : 'the stage it is copied from';
      throw missingInTree(error, source, where);
    }
  }

  private async write(
    input: ExecutionInput,
    changes: readonly Change[],
    hashes: Map<string, string>,
  ): Promise<Execution> {
    const { epochSeconds } = input.step;
    const rules = epochSeconds === undefined ? {} : { mtimeClamp: epochSeconds };
    const members = completeChangeset(changeMembers(changes, hashes), input.target, rules);
    return { step: await this.layer(members, input.signal), hashes };
  }

  private async layer(members: AsyncIterable<TarMember>, signal: AbortSignal): Promise<CachedStep> {
    let newestSeconds = 0;
    const watched = async function* (): AsyncGenerator<TarMember, void, undefined> {
      for await (const member of members) {
        signal.throwIfAborted();
        const { path, mtimeSeconds } = member.entry;
        if (!isWhiteout(path)) newestSeconds = Math.max(newestSeconds, mtimeSeconds);
        yield member;
      }
    };
    const written = await writeLayer(watched(), { content: this.deps.content, signal });
    await this.deps.indexes.put(written.index);
    return { diffId: written.diffId, descriptor: written.descriptor, newestSeconds };
  }

  private async run(step: Step & { readonly op: RunOp }, input: ExecutionInput): Promise<CachedStep> {
    const { sandbox, platform, ids } = this.deps;
    if (sandbox === undefined) {
      throw new AppError('BUILD_RUN_UNAVAILABLE', 'RUN needs a sandbox, and this builder has none', {
        kind: 'unsupported',
        hint: 'build on a host with containers, or without RUN',
      });
    }
    if (!platformMatches(platform, step.platform)) {
      const message = `RUN for ${formatPlatform(step.platform)} cannot be run on ${formatPlatform(platform)}`;
      throw new AppError('BUILD_UNSUPPORTED_EMULATION', message, {
        kind: 'unsupported',
        hint: 'FROM --platform=$BUILDPLATFORM for stages that only prepare files',
      });
    }
    const mounts = await Promise.all(step.op.mounts.map((mount) => this.mount(mount, input)));
    const { layers, target, timeSeconds, emit, signal } = input;
    return runStep(
      { step, sandbox, runId: ids.hex(8), layers, lower: target, mounts, timeSeconds, emit, signal },
      (changes) => this.layer(changes, signal),
    );
  }

  private async mount(mount: RunMount, input: ExecutionInput): Promise<SandboxMount> {
    if (mount.type !== 'bind') return mount;
    const tree = await input.source(mount.source);
    const path = tree.resolve(mount.path);
    if (path !== '' && tree.exact(path) === undefined) {
      throw new AppError('BUILD_MOUNT_SOURCE_MISSING', `the bind mount's source ${mount.path} is not there`, {
        kind: 'not-found',
      });
    }
    const layers = await input.sourceLayers(mount.source);
    return { type: 'layers', target: mount.target, layers, path, readonly: mount.readonly };
  }
}
