/** Makes the layer of one step that the cache does not have. */
import { AppError } from '../../errors/index.js';
import { completeChangeset, type ImageTree } from '../../layers/index.js';
import { formatPlatform, type Platform, platformMatches } from '../../oci/index.js';
import type { Clock, Ids } from '../../store/index.js';
import { usesProxy } from '../attest/proxy-fetches.js';
import type { EmitEvent } from '../build-log.js';
import type { EgressGuard } from '../fetch/egress-guard.js';
import type { CopyOp, Layer, RunOp, SourceRef, Step } from '../plan/steps.js';
import { Authority } from '../proxy/authority.js';
import { BuildProxy } from '../proxy/build-proxy.js';
import { ProxyCapture } from '../proxy/proxy-capture.js';
import { Redaction } from '../redaction.js';
import type { Sandbox } from '../sandbox/sandbox.js';
import type { CachedStep } from '../solve/step-cache.js';
import type { Change } from './changed-tree.js';
import { changeMembers } from './copy-members.js';
import { copyChanges, newestSource } from './copy-step.js';
import { HashedFiles } from './file-hashes.js';
import { agentEnv, mountContents, type MountInput, secretEnv } from './mount-contents.js';
import { findOwner, type Owner } from './owners.js';
import { runStep } from './run-step.js';
import { type LayerRules, StepLayers, type StepLayersDeps } from './step-layers.js';
import { workdirChanges } from './workdir-step.js';

export interface StepExecutorDeps extends StepLayersDeps {
  readonly ids: Ids;
  readonly sandbox?: Sandbox;
  /** Of this machine: what RUN can run. */
  readonly platform: Platform;
  /** For the time limit of a RUN; no limit when absent. */
  readonly limit?: { readonly clock: Clock; readonly timeoutMs: number };
  readonly proxies: ProxySettings;
}

/** What a RUN with a proxy may reach through it. */
export interface ProxySettings {
  readonly guard: EgressGuard;
  readonly clock: Clock;
}

export interface ExecutionInput extends MountInput, LayerRules {
  readonly step: Step;
  readonly layers: readonly Layer[];
  /** `layers`, merged. */
  readonly target: ImageTree;
  /** Time of what the step makes without a time of its own. */
  readonly timeSeconds: number;
  /** What the source policy makes of an address that a RUN asks for. */
  readonly policed: (method: string, url: string) => string;
  readonly emit: EmitEvent;
}

export interface Execution {
  readonly step: CachedStep;
  /** Of the files that were copied, in their sources. */
  readonly hashes: HashedFiles;
}

interface CopiedFiles {
  readonly changes: Iterable<Change>;
  /** Trees whose files are to be hashed as they pass. */
  readonly hashed: ReadonlySet<ImageTree>;
}

export class StepExecutor {
  private readonly layers: StepLayers;

  constructor(private readonly deps: StepExecutorDeps) {
    this.layers = new StepLayers(deps);
  }

  /** For a RUN: begins with what takes long and needs no tree. */
  async prepare(layers: readonly Layer[]): Promise<void> {
    await this.deps.sandbox?.prepare?.(layers);
  }

  /** @throws AppError without a place, or the signal's reason */
  async execute(input: ExecutionInput): Promise<Execution> {
    const { step, target, timeSeconds } = input;
    const { op } = step;
    const warn = (message: string): void => input.emit({ type: 'warning', message, line: step.place.line });
    switch (op.kind) {
      case 'workdir':
        return this.write(input, await workdirChanges(op, target, timeSeconds, warn), new Set());
      case 'copy': {
        const { changes, hashed } = await this.copy(op, input, warn);
        return this.write(input, changes, hashed);
      }
      case 'run':
        return { step: await this.run({ ...step, op }, input), hashes: new HashedFiles() };
      default:
        return op satisfies never;
    }
  }

  private async copy(op: CopyOp, input: ExecutionInput, warn: (message: string) => void): Promise<CopiedFiles> {
    const sources = await Promise.all(
      op.sources.map(async (spec) => ({ spec, tree: await input.source(spec.source), where: whereOf(spec.source) })),
    );
    // Nothing of the image is known to a linked layer, not even its time.
    const timeSeconds = op.link && input.step.epochSeconds === undefined ? newestSource(sources) : input.timeSeconds;
    const changes = await copyChanges({
      op,
      target: input.target,
      sources,
      ...(op.owner === undefined ? {} : { owner: await this.owner(op.owner, op.link, input.target) }),
      timeSeconds,
      content: this.deps.content,
      warn,
      signal: input.signal,
    });
    // Contexts and what was fetched are hashed already.
    const made = sources.filter(({ spec: { source } }) => source.from === 'stage' || source.from === 'image');
    return { changes, hashed: new Set(made.map(({ tree }) => tree)) };
  }

  private async owner(text: string, link: boolean, target: ImageTree): Promise<Owner> {
    try {
      return await findOwner(target, text);
    } catch (error) {
      if (!link || !(error instanceof AppError) || error.code !== 'BUILD_OWNER_UNKNOWN') throw error;
      const message = `--chown=${text} with --link: a linked layer knows no names, since it is made without the image`;
      throw new AppError(error.code, message, {
        kind: 'failed',
        hint: 'give numbers, like 1000:1000, or leave out --link',
      });
    }
  }

  private async write(
    input: ExecutionInput,
    changes: Iterable<Change>,
    hashed: ReadonlySet<ImageTree>,
  ): Promise<Execution> {
    const hashes = new HashedFiles();
    const { epochSeconds } = input.step;
    const rules = epochSeconds === undefined ? {} : { mtimeClamp: epochSeconds };
    const members = completeChangeset(changeMembers(changes, hashed, hashes), input.target, rules);
    return { step: await this.layers.write(members, input), hashes };
  }

  private async run(step: Step & { readonly op: RunOp }, input: ExecutionInput): Promise<CachedStep> {
    const { sandbox, platform, ids } = this.deps;
    if (sandbox === undefined) {
      throw new AppError('BUILD_RUN_UNAVAILABLE', 'RUN needs a sandbox, and this builder has none', {
        kind: 'unsupported',
        hint: 'build on a host with containers, or without RUN',
      });
    }
    if (!platformMatches(platform, step.platform) && (await sandbox.emulates?.(step.platform)) !== true) {
      const message = `RUN for ${formatPlatform(step.platform)} cannot be run on ${formatPlatform(platform)}`;
      throw new AppError('BUILD_UNSUPPORTED_EMULATION', message, {
        kind: 'unsupported',
        hint: 'FROM --platform=$BUILDPLATFORM for stages that only prepare files, or binfmt_misc with qemu on the host',
      });
    }
    const planned = await Promise.all(step.op.mounts.map((mount) => mountContents(mount, input)));
    const mounts = planned.filter((mount) => mount !== undefined);
    const { layers, target, timeSeconds, emit, signal } = input;
    const redaction = new Redaction(input.secrets);
    const proxied = usesProxy(step.op) ? await this.proxied(step.op, input, redaction) : undefined;
    const made = await runStep(
      {
        step,
        sandbox,
        runId: ids.hex(8),
        layers,
        lower: target,
        mounts,
        agentEnv: agentEnv(step.op),
        secretEnv: secretEnv(step.op, input.secrets),
        redaction,
        ...(proxied === undefined ? {} : { proxied }),
        timeSeconds,
        // eStargz adds files of its own.
        keeps: input.compression?.type !== 'estargz',
        emit,
        signal,
        ...(this.deps.limit === undefined ? {} : { limit: this.deps.limit }),
      },
      (changes) => this.layers.write(changes, input),
    );
    if (proxied === undefined) return made;
    const record = await this.deps.content.putBytes(Buffer.from(JSON.stringify(proxied.capture.record())));
    return { ...made, fetches: record.digest };
  }

  private async proxied(
    { network }: RunOp,
    { policed }: ExecutionInput,
    redaction: Redaction,
  ): Promise<{ readonly proxy: BuildProxy; readonly capture: ProxyCapture }> {
    const { guard, clock } = this.deps.proxies;
    const capture = new ProxyCapture((text) => redaction.text(text));
    const authority = await Authority.create(clock.nowMs());
    return {
      capture,
      proxy: new BuildProxy({ authority, capture, policed, ...(network === 'host' ? {} : { guard }) }),
    };
  }
}

function whereOf(source: SourceRef): string {
  switch (source.from) {
    case 'context':
      return 'the build context';
    case 'stage':
      return 'the stage it is copied from';
    case 'image':
      return `image ${source.image.name}`;
    case 'remote':
      return source.remote.url;
    default:
      return source satisfies never;
  }
}
