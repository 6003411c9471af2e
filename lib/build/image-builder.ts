/**
 * ImageBuilder: one request from context to image. Reads the context, plans, solves, exports; says what happens as
 * events. Knows no record of a build: the worker keeps those.
 */
import { parseDockerfile, parseIgnore } from '../dockerfile/index.js';
import { AppError } from '../errors/index.js';
import { LayerIndexes } from '../layers/index.js';
import { formatPlatform, parsePlatform, type Platform } from '../oci/index.js';
import type { Images } from '../registry/index.js';
import type { Clock, ContentStore, Ids, RecordStore } from '../store/index.js';
import { findBaseImage } from './base-image.js';
import { closeNames } from './build-errors.js';
import { NO_SECRETS } from './build-secrets.js';
import { SingleFlight } from './concurrency.js';
import { BuildContext } from './context.js';
import { exportImage, parseTag } from './export.js';
import { hashParts } from './framing.js';
import { cleanPath } from './path-names.js';
import { type Plan, planBuild } from './plan.js';
import type { RemoteImages } from './remote-images.js';
import { Redaction } from './redaction.js';
import { RemoteSources, type RemoteSourcesOptions } from './remote-files.js';
import type { Sandbox } from './sandbox.js';
import { type Solution, Solver } from './solver.js';
import { type CachedStep, StepCache } from './step-cache.js';
import { StepExecutor } from './step-executor.js';
import type { BaseImage, Layer } from './steps.js';
import type { BuildRequest, BuildResult } from './types.js';
import type { BuildFunction } from './worker.js';

export interface ImageBuilderDeps {
  readonly records: RecordStore;
  readonly content: ContentStore;
  readonly images: Images;
  /** Shared with whoever else reads layers in this process; own ones when absent. */
  readonly indexes?: LayerIndexes;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Without it RUN fails with BUILD_RUN_UNAVAILABLE. */
  readonly sandbox?: Sandbox;
  /** For base images of other registries; without it they are refused. */
  readonly remote?: RemoteImages;
}

export interface ImageBuilderOptions {
  /** Of this machine. */
  readonly platform: Platform;
  /** Hosts by which a FROM may name our own registry; none when absent. */
  readonly registryHosts?: readonly string[];
  /** Whether a base name without a host may mean Docker Hub when our registry does not have it; not when absent. */
  readonly allowDockerHub?: boolean;
  /** Steps of one build that run at once; 2 when absent. */
  readonly parallelism?: number;
  /** What ADD may fetch: addresses, sizes, times. Public addresses only when absent. */
  readonly fetching?: RemoteSourcesOptions;
  /** How long one RUN may take; as long as it wants when absent. */
  readonly runTimeoutMs?: number;
  /** Whose cache this is: builds of other scopes share nothing with it. */
  readonly scope?: string;
}

type BuildCall = Parameters<BuildFunction>[1];

export class ImageBuilder {
  private readonly indexes: LayerIndexes;
  private readonly cache: StepCache;
  private readonly executor: StepExecutor;
  private readonly sources: RemoteSources;
  private readonly flights = new SingleFlight<CachedStep>();

  constructor(
    private readonly deps: ImageBuilderDeps,
    private readonly options: ImageBuilderOptions,
  ) {
    const { content, records, clock, ids, sandbox } = deps;
    this.indexes = deps.indexes ?? new LayerIndexes({ content, records });
    const { indexes } = this;
    this.cache = new StepCache({ records, content, clock });
    this.sources = new RemoteSources({ content, records, indexes, clock }, options.fetching);
    const { platform, runTimeoutMs } = options;
    this.executor = new StepExecutor({
      content,
      indexes,
      ids,
      platform,
      ...(sandbox === undefined ? {} : { sandbox }),
      ...(runTimeoutMs === undefined ? {} : { limit: { clock, timeoutMs: runTimeoutMs } }),
    });
  }

  /** Nothing that leaves here, event, result or error, has a secret of the build in it. */
  readonly build: BuildFunction = async (request, call) => {
    const redaction = new Redaction(call.secrets ?? NO_SECRETS);
    const emit: BuildCall['emit'] = (event) => call.emit(redaction.value(event));
    try {
      return redaction.value(await this.run(request, { ...call, emit }));
    } catch (error) {
      throw redaction.error(error);
    }
  };

  private async run(request: BuildRequest, call: BuildCall): Promise<BuildResult> {
    const { context, plan } = await this.plan(request, call);
    const solution = await this.solve(request, plan, context, call);
    await this.fetchLayers(solution.layers, call.signal);
    const exported = await exportImage(this.deps, {
      image: plan.target.image,
      layers: solution.layers,
      baseLayers: solution.baseLayers,
      createdSeconds: plan.epochSeconds ?? solution.newestSeconds,
      tags: request.tags,
    });
    const { steps } = solution;
    const result: BuildResult = { ...exported, steps, stepsCached: steps.filter(({ cached }) => cached).length };
    return result;
  }

  private async plan(request: BuildRequest, call: BuildCall): Promise<{ context: BuildContext; plan: Plan }> {
    const { content } = this.deps;
    const { platform } = this.options;
    const whole = await BuildContext.open(content, request.context, call.signal);
    const path = cleanPath(request.dockerfile ?? 'Dockerfile').slice(1);
    const text = await whole.text(path);
    if (text === undefined) throw dockerfileMissing(path, whole);
    const dockerfile = parseDockerfile(text, { fileName: path });
    for (const warning of dockerfile.warnings) {
      const { message, line, rule } = warning;
      call.emit({ type: 'warning', message, rule, ...(line === 0 ? {} : { line }) });
    }
    const context = await withoutIgnored(whole, path);
    const plan = await planBuild({
      dockerfile,
      args: request.args ?? {},
      labels: request.labels ?? {},
      ...(request.target === undefined ? {} : { target: request.target }),
      platform: request.platform === undefined ? platform : parsePlatform(request.platform),
      buildPlatform: platform,
      base: this.basesOf(call),
      warn: (warning) => call.emit({ type: 'warning', ...warning }),
    });
    return { context, plan };
  }

  /** Looks bases up, each name once: all stages of a build stand on the same digest, whatever the tag does meanwhile. */
  private basesOf(call: BuildCall): (name: string, platform: Platform) => Promise<BaseImage> {
    const { images, content, remote } = this.deps;
    const { registryHosts = [], allowDockerHub = false } = this.options;
    const deps = { images, content, registryHosts, allowDockerHub, ...(remote === undefined ? {} : { remote }) };
    const known = new Map<string, Promise<BaseImage>>();
    const find = async (name: string, platform: Platform): Promise<BaseImage> => {
      const image = await findBaseImage(deps, name, platform);
      call.emit({ type: 'message', text: `FROM ${name} is ${image.name}` });
      return image;
    };
    return (name, platform) => {
      const key = `${name} ${formatPlatform(platform)}`;
      const image = known.get(key) ?? find(name, platform);
      known.set(key, image);
      return image;
    };
  }

  private readonly fetchLayers = async (layers: readonly Layer[], signal: AbortSignal): Promise<void> => {
    await this.deps.remote?.fetchLayers(layers, signal);
  };

  private solve(request: BuildRequest, plan: Plan, context: BuildContext, call: BuildCall): Promise<Solution> {
    const { content, clock } = this.deps;
    const { indexes, cache, executor, flights } = this;
    const { parallelism = 2, scope = 'default' } = this.options;
    const { secrets = NO_SECRETS } = call;
    const solver = new Solver(
      { content, indexes, cache, executor, flights, now: () => clock.nowMs(), fetchLayers: this.fetchLayers },
      {
        plan,
        context,
        scope,
        slot: slotOf(request, scope),
        noCache: request.noCache ?? false,
        parallelism,
        emit: call.emit,
        signal: call.signal,
        secrets,
        remote: (remote, signal) => this.sources.fetch(remote, { scope, secrets, signal }),
      },
    );
    return solver.solve();
  }
}

/** `<Dockerfile>.dockerignore` beats `.dockerignore`. */
async function withoutIgnored(context: BuildContext, dockerfile: string): Promise<BuildContext> {
  for (const name of [`${dockerfile}.dockerignore`, '.dockerignore']) {
    const text = await context.text(name);
    if (text === undefined) continue;
    try {
      const ignore = parseIgnore(text);
      return ignore.patterns.length === 0 ? context : context.without(ignore);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const { code, message, kind, hint } = error;
      throw new AppError(code, `${name}: ${message}`, { kind, cause: error, ...(hint === undefined ? {} : { hint }) });
    }
  }
  return context;
}

function dockerfileMissing(path: string, context: BuildContext): AppError {
  const others = context.paths.filter((each) => /(^|\/)(Dockerfile|Containerfile)[^/]*$|\.dockerfile$/i.test(each));
  const close = others.length > 0 ? others.slice(0, 3) : closeNames(path, context.paths);
  return new AppError('BUILD_DOCKERFILE_MISSING', `${path} is not in the build context`, {
    kind: 'not-found',
    hint: close.length > 0 ? `did you mean ${close.join(' or ')}?` : 'put one at the root of the context',
  });
}

/** Builds of the same Dockerfile for the same name are told apart from others when a miss is explained. */
function slotOf(request: BuildRequest, scope: string): string {
  const [tag] = request.tags;
  return hashParts('wharf.slot.v1', [
    { name: 'scope', value: scope },
    { name: 'repository', value: tag === undefined ? '' : parseTag(tag).repository },
    { name: 'dockerfile', value: request.dockerfile ?? 'Dockerfile' },
    { name: 'target', value: request.target ?? '' },
    { name: 'platform', value: request.platform ?? '' },
  ]);
}
