/** Makes the layer of one step that the cache does not have. */
import { AppError } from '../../errors/index.js';
import {
  completeChangeset,
  type ImageTree,
  isWhiteout,
  type LayerIndexes,
  type LayerSegmentStore,
  segmentsCoder,
  type TarMember,
  writeLayer,
} from '../../layers/index.js';
import { type Digest, formatPlatform, type Platform, platformMatches } from '../../oci/index.js';
import type { Clock, ContentStore, Ids } from '../../store/index.js';
import type { EmitEvent } from '../build-log.js';
import type { BuildSecretValues } from '../build-secrets.js';
import { sshKeysOf } from '../build-ssh.js';
import type { Change } from './changed-tree.js';
import { changeMembers, copyChanges, newestSource } from './copy-step.js';
import { findOwner, type Owner } from './owners.js';
import { Redaction } from '../redaction.js';
import { runStep } from './run-step.js';
import type { Sandbox, SandboxMount } from '../sandbox/sandbox.js';
import type { CachedStep } from '../solve/step-cache.js';
import type { CopyOp, Layer, RunMount, RunOp, SourceRef, Step } from '../plan/steps.js';
import type { BuildCompression } from '../types.js';
import { workdirChanges } from './workdir-step.js';

export interface StepExecutorDeps {
  readonly content: ContentStore;
  readonly indexes: LayerIndexes;
  readonly segments: LayerSegmentStore;
  readonly ids: Ids;
  readonly sandbox?: Sandbox;
  /** Of this machine: what RUN can run. */
  readonly platform: Platform;
  /** For the time limit of a RUN; no limit when absent. */
  readonly limit?: { readonly clock: Clock; readonly timeoutMs: number };
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
  readonly secrets: BuildSecretValues;
  readonly emit: EmitEvent;
  readonly signal: AbortSignal;
  /** Of the layer; gzip when absent. */
  readonly compression?: BuildCompression;
  /** What the step gave last time: where its layer comes out as that one was, it is not compressed again. */
  readonly like?: Digest;
}

export interface Execution {
  readonly step: CachedStep;
  /** SHA-256 (hex) of the files that were copied, by inode of the source. */
  readonly hashes: ReadonlyMap<string, string>;
}

interface CopiedFiles {
  readonly changes: readonly Change[];
  /** Trees whose files are to be hashed as they pass. */
  readonly hashed: ReadonlySet<ImageTree>;
}

export class StepExecutor {
  constructor(private readonly deps: StepExecutorDeps) {}

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
        return { step: await this.run({ ...step, op }, input), hashes: new Map() };
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
    changes: readonly Change[],
    hashed: ReadonlySet<ImageTree>,
  ): Promise<Execution> {
    const hashes = new Map<string, string>();
    const { epochSeconds } = input.step;
    const rules = epochSeconds === undefined ? {} : { mtimeClamp: epochSeconds };
    const members = completeChangeset(changeMembers(changes, hashed, hashes), input.target, rules);
    return { step: await this.layer(members, input), hashes };
  }

  private async layer(
    members: AsyncIterable<TarMember>,
    { signal, compression, like }: Pick<ExecutionInput, 'signal' | 'compression' | 'like'>,
  ): Promise<CachedStep> {
    let newestSeconds = 0;
    const watched = async function* (): AsyncGenerator<TarMember, void, undefined> {
      for await (const member of members) {
        signal.throwIfAborted();
        const { path, mtimeSeconds } = member.entry;
        if (!isWhiteout(path)) newestSeconds = Math.max(newestSeconds, mtimeSeconds);
        yield member;
      }
    };
    const { content, indexes, segments } = this.deps;
    const { type = 'gzip', level } = compression ?? {};
    const options = { compression: type, ...(level === undefined ? {} : { level }) };
    const coder = segmentsCoder(options);
    const known = coder === undefined || like === undefined ? undefined : await segments.open(like, coder);
    try {
      const reuse = known === undefined ? {} : { known };
      const written = await writeLayer(watched(), { content, signal, ...options, ...reuse });
      await indexes.put(written.index);
      if (written.segments !== undefined) await segments.put(written.diffId, written.segments);
      return { diffId: written.diffId, descriptor: written.descriptor, newestSeconds };
    } finally {
      await known?.close();
    }
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
    const planned = await Promise.all(step.op.mounts.map((mount) => this.mount(mount, input)));
    const mounts = planned.filter((mount) => mount !== undefined);
    const { layers, target, timeSeconds, emit, signal } = input;
    return runStep(
      {
        step,
        sandbox,
        runId: ids.hex(8),
        layers,
        lower: target,
        mounts,
        agentEnv: agentEnv(step.op, mounts),
        secretEnv: secretEnv(step.op, input.secrets),
        redaction: new Redaction(input.secrets),
        timeSeconds,
        emit,
        signal,
        ...(this.deps.limit === undefined ? {} : { limit: this.deps.limit }),
      },
      (changes) => this.layer(changes, input),
    );
  }

  /** @returns undefined for a secret or an ssh agent that is not given and not required */
  private async mount(mount: RunMount, input: ExecutionInput): Promise<SandboxMount | undefined> {
    switch (mount.type) {
      case 'tmpfs':
        return mount;
      case 'secret': {
        const { target, mode, uid, gid } = mount;
        const content = secretOf(mount, input.secrets);
        if (content === undefined || target === undefined) return undefined;
        return { type: 'secret', target, content, mode, uid, gid };
      }
      case 'ssh': {
        const { target, mode, uid, gid } = mount;
        const keys = agentKeys(mount, input.secrets);
        return keys === undefined ? undefined : { type: 'ssh', target, keys, mode, uid, gid };
      }
      case 'cache': {
        const { base, ...rest } = mount;
        return base === undefined ? rest : { ...rest, base: await mountSource(mount.type, base, input) };
      }
      case 'bind':
        return {
          type: 'layers',
          target: mount.target,
          readonly: mount.readonly,
          ...(await mountSource(mount.type, mount, input)),
        };
      default:
        return mount satisfies never;
    }
  }
}

async function mountSource(
  type: string,
  from: { readonly source: SourceRef; readonly path: string },
  input: ExecutionInput,
): Promise<{ readonly layers: readonly Layer[]; readonly path: string }> {
  const tree = await input.source(from.source);
  const path = tree.resolve(from.path);
  const entry = path === '' ? undefined : tree.exact(path);
  if (path !== '' && (entry === undefined || (type === 'cache' && entry.type !== 'directory'))) {
    const what = entry === undefined ? 'is not there' : `is a ${entry.type}, not a folder`;
    throw new AppError('BUILD_MOUNT_SOURCE_MISSING', `the ${type} mount's source ${from.path} ${what}`, {
      kind: 'not-found',
    });
  }
  return { layers: await input.sourceLayers(from.source), path };
}

function secretOf(mount: RunMount & { readonly type: 'secret' }, secrets: BuildSecretValues): Uint8Array | undefined {
  const value = secrets.get(mount.id);
  if (value !== undefined || !mount.required) return value;
  throw new AppError('BUILD_SECRET_MISSING', `the secret ${JSON.stringify(mount.id)} is required and was not given`, {
    kind: 'invalid',
    hint: 'give it with the build, or leave out "required"',
    details: { secret: mount.id, word: '--mount' },
  });
}

function agentKeys(
  mount: RunMount & { readonly type: 'ssh' },
  secrets: BuildSecretValues,
): readonly Uint8Array[] | undefined {
  const keys = sshKeysOf(secrets, mount.id);
  if (keys.length > 0) return keys;
  if (!mount.required) return undefined;
  throw new AppError('BUILD_SSH_MISSING', `the ssh agent ${JSON.stringify(mount.id)} is required and has no keys`, {
    kind: 'invalid',
    hint: `give the build a key: wharf build --ssh ${mount.id}=<private key file>; or leave out "required"`,
    details: { ssh: mount.id, word: '--mount' },
  });
}

/** Where ssh looks for its agent, unless the Dockerfile says otherwise. */
function agentEnv(op: RunOp, mounts: readonly SandboxMount[]): readonly string[] {
  const agent = mounts.find(({ type }) => type === 'ssh');
  const isSet = op.env.some((entry) => entry.startsWith('SSH_AUTH_SOCK='));
  return agent === undefined || isSet ? [] : [`SSH_AUTH_SOCK=${agent.target}`];
}

function secretEnv(op: RunOp, secrets: BuildSecretValues): ReadonlyMap<string, string> {
  const env = new Map<string, string>();
  for (const mount of op.mounts) {
    if (mount.type !== 'secret' || mount.env === undefined) continue;
    const value = secretOf(mount, secrets);
    if (value !== undefined) env.set(mount.env, Buffer.from(value).toString('utf8'));
  }
  return env;
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
