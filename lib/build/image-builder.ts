/**
 * ImageBuilder: one request from context to image. Reads the context, plans, solves, exports; says what happens as
 * events. Knows no record of a build: the worker keeps those.
 */
import {
  type Dockerfile,
  findStage,
  type IgnoreFile,
  type LintWarning,
  parseDockerfile,
  parseIgnore,
} from '../dockerfile/index.js';
import { AppError } from '../errors/index.js';
import { compress, LayerIndexes } from '../layers/index.js';
import { type Digest, formatPlatform, parsePlatform, type Platform } from '../oci/index.js';
import type { Images } from '../registry/index.js';
import type { Clock, ContentStore, Ids, RecordStore } from '../store/index.js';
import { findBaseImage } from './base-image.js';
import { closeNames } from './build-errors.js';
import { NO_SECRETS } from './build-secrets.js';
import { SingleFlight } from './concurrency.js';
import { BuildContext } from './context.js';
import { exportImage, parseTag } from './export.js';
import { type ExportedPlatform, exportIndex } from './export-index.js';
import { hashParts } from './framing.js';
import { outlineOf, targetsOf } from './outline.js';
import { cleanPath } from './path-names.js';
import { type Plan, planBuild } from './plan.js';
import { PlanLint } from './plan-lint.js';
import type { RemoteImages } from './remote-images.js';
import { Redaction } from './redaction.js';
import { RemoteSources, type RemoteSourcesOptions } from './remote-files.js';
import type { BuildReport, ExpectedStep, LintFinding, OutlineReport, PlanReport } from './report.js';
import type { Sandbox } from './sandbox.js';
import { Solver } from './solver.js';
import { type CachedStep, StepCache } from './step-cache.js';
import { StepExecutor } from './step-executor.js';
import type { BaseImage, Layer, Step } from './steps.js';
import type { BuildCompression, BuildRequest, BuildResult, BuildStepSummary } from './types.js';
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

  /** Nothing that leaves here has a secret of the build in it. */
  readonly build: BuildFunction = async (request, call) => {
    const redaction = new Redaction(call.secrets ?? NO_SECRETS);
    // Output is cleaned where it comes in; what else an event holds was in the request, and is no secret.
    const emit: BuildCall['emit'] = (event) =>
      call.emit(event.type === 'message' || event.type === 'warning' ? redaction.value(event) : event);
    try {
      return await this.run(request, { ...call, emit });
    } catch (error) {
      throw redaction.error(error);
    }
  };

  private async run(request: BuildRequest, call: BuildCall): Promise<BuildResult | BuildReport> {
    const source = await this.open(request, call);
    if (request.targets === true) return targetsOf(source.dockerfile);
    if (request.outline === true) return this.outline(request, source.dockerfile);
    const builds = await this.plans(request, source, call);
    const failure = source.lint.failure();
    if (failure !== undefined) throw failure;
    if (request.check === true) return { kind: 'check', warnings: source.lint.warnings.map(findingOf) };
    if (request.plan === true) return this.preview(request, source, builds, call);
    return this.make(request, source, builds, call);
  }

  /** The context and its Dockerfile, parsed; lint findings become events as they come. */
  private async open(request: BuildRequest, call: BuildCall): Promise<BuildSource> {
    const whole = await BuildContext.open(this.deps.content, request.context, call.signal);
    const path = cleanPath(request.dockerfile ?? 'Dockerfile').slice(1);
    const text = await whole.text(path);
    if (text === undefined) throw dockerfileMissing(path, whole);
    const check = request.args?.['BUILDKIT_DOCKERFILE_CHECK'];
    const options = { fileName: path, violations: 'report', ...(check === undefined ? {} : { check }) } as const;
    const dockerfile = parseDockerfile(text, options);
    const { context, ignore } = await withoutIgnored(whole, path);
    const lint = new PlanLint(dockerfile, ignore, ({ message, line, rule }) => {
      call.emit({ type: 'warning', message, rule, ...(line === 0 ? {} : { line }) });
    });
    return { context, dockerfile, lint };
  }

  private platforms(request: BuildRequest): readonly Platform[] {
    const asked = request.platforms ?? (request.platform === undefined ? [] : [request.platform]);
    const distinct = new Map(asked.map(parsePlatform).map((platform) => [formatPlatform(platform), platform]));
    return distinct.size === 0 ? [this.options.platform] : [...distinct.values()];
  }

  private outline(request: BuildRequest, dockerfile: Dockerfile): OutlineReport {
    const [platform = this.options.platform] = this.platforms(request);
    const { target, args = {} } = request;
    const buildPlatform = this.options.platform;
    return outlineOf({ dockerfile, args, platform, buildPlatform, ...(target === undefined ? {} : { target }) });
  }

  /** A plan for each platform, before any work is done for one. */
  private async plans(
    request: BuildRequest,
    { dockerfile, lint }: BuildSource,
    call: BuildCall,
  ): Promise<readonly PlatformBuild[]> {
    const base = this.basesOf(call);
    const platforms = this.platforms(request);
    const builds: PlatformBuild[] = [];
    const told = new Set<string>();
    let firstStep = 1;
    for (const platform of platforms) {
      const plan = await planBuild({
        dockerfile,
        args: request.args ?? {},
        labels: request.labels ?? {},
        contexts: request.contexts ?? {},
        ...(request.target === undefined ? {} : { target: request.target }),
        platform,
        buildPlatform: this.options.platform,
        base,
        lint,
        firstStep,
        ...(platforms.length === 1 ? {} : { label: formatPlatform(platform) }),
        warn: (warning) => {
          if (!told.has(warning.message)) call.emit({ type: 'warning', ...warning });
          told.add(warning.message);
        },
      });
      builds.push({ platform, plan });
      firstStep += plan.steps.length;
    }
    return builds;
  }

  private async preview(
    request: BuildRequest,
    source: BuildSource,
    builds: readonly PlatformBuild[],
    call: BuildCall,
  ): Promise<PlanReport> {
    const made = new Map<string, CachedStep>();
    const previews = [];
    for (const each of builds) previews.push(await this.solver(request, source, each, made, call).preview());
    const steps = previews.flatMap((preview) => preview.steps);
    const sum = (of: (step: ExpectedStep) => number | undefined): number =>
      steps.reduce((total, step) => total + (of(step) ?? 0), 0);
    return {
      kind: 'plan',
      steps,
      hits: sum(({ expected }) => Number(expected === 'hit')),
      misses: sum(({ expected }) => Number(expected === 'miss' || expected === 'maybe')),
      bytes: {
        context: sum((step) => step.contextBytes),
        cached: sum((step) => step.layerBytes),
        fetch: await this.bytesToFetch(previews.flatMap((preview) => preview.layers)),
      },
    };
  }

  private async bytesToFetch(layers: readonly Layer[]): Promise<number> {
    const sizes = new Map<Digest, number>();
    for (const { descriptor, origin } of layers) {
      if (origin === undefined || (await this.deps.content.stat(descriptor.digest)) !== undefined) continue;
      sizes.set(descriptor.digest, descriptor.size);
    }
    return [...sizes.values()].reduce((total, size) => total + size, 0);
  }

  private async make(
    request: BuildRequest,
    source: BuildSource,
    builds: readonly PlatformBuild[],
    call: BuildCall,
  ): Promise<BuildResult> {
    const isIndex = builds.length > 1 || wantsIndex(request.annotations);
    const made = new Map<string, CachedStep>();
    const images: ExportedPlatform[] = [];
    const summaries: BuildStepSummary[] = [];
    for (const each of builds) {
      const { plan } = each;
      const solution = await this.solver(request, source, each, made, call).solve();
      await this.fetchLayers(solution.layers, call.signal);
      const { manifest: annotations = {} } = request.annotations ?? {};
      const exported = await exportImage(this.deps, {
        image: plan.target.image,
        layers: solution.layers,
        baseLayers: solution.baseLayers,
        createdSeconds: plan.epochSeconds ?? solution.newestSeconds,
        tags: request.tags,
        annotations,
        isIndexEntry: isIndex,
      });
      images.push({ ...exported, platform: plan.target.image.platform });
      summaries.push(...solution.steps);
    }
    const exported = isIndex ? await exportIndex(this.deps, images, request) : images[0];
    if (exported === undefined) throw new AppError('INTERNAL', 'no platform was built', { kind: 'internal' });
    const { digest, imageId, tags, layers, platforms } = exported;
    const stepsCached = summaries.filter(({ cached }) => cached).length;
    const result = { digest, imageId, tags, layers, steps: summaries, stepsCached };
    return platforms === undefined ? result : { ...result, platforms };
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

  private solver(
    request: BuildRequest,
    { context, dockerfile }: BuildSource,
    { plan, platform }: PlatformBuild,
    made: Map<string, CachedStep>,
    call: BuildCall,
  ): Solver {
    const { content, clock } = this.deps;
    const { indexes, cache, executor, flights } = this;
    const { parallelism = 2, scope = 'default' } = this.options;
    const { compression } = request;
    const { secrets = NO_SECRETS } = call;
    return new Solver(
      { content, indexes, cache, executor, flights, now: () => clock.nowMs(), fetchLayers: this.fetchLayers },
      {
        plan,
        context,
        scope: scopeOf(scope, compression),
        slot: slotOf(request, platform, scope),
        uncached: uncachedBy(request, dockerfile),
        made,
        buildId: call.id,
        ...(compression === undefined ? {} : { compression }),
        parallelism,
        emit: call.emit,
        signal: call.signal,
        secrets,
        remote: (remote, signal) => this.sources.fetch(remote, { scope, secrets, signal }),
        openContext: (digest, signal) => BuildContext.open(content, digest, signal),
      },
    );
  }
}

interface BuildSource {
  readonly context: BuildContext;
  readonly dockerfile: Dockerfile;
  readonly lint: PlanLint;
}

interface PlatformBuild {
  readonly platform: Platform;
  readonly plan: Plan;
}

function findingOf({ rule, message, line, url }: LintWarning): LintFinding {
  return { rule, message, ...(line === 0 ? {} : { line }), ...(url === undefined ? {} : { url }) };
}

function wantsIndex(annotations: BuildRequest['annotations']): boolean {
  return annotations?.index !== undefined || annotations?.manifestDescriptor !== undefined;
}

/** Layers compressed in another way are other layers. @throws AppError COMPRESSION_UNSUPPORTED, COMPRESSION_LEVEL */
function scopeOf(scope: string, compression: BuildCompression | undefined): string {
  if (compression === undefined) return scope;
  const { type, level } = compression;
  compress(type, level);
  const isDefault = type === 'gzip' && (level === undefined || level === 6);
  return isDefault ? scope : `${scope} ${type}${level === undefined ? '' : `-${level}`}`;
}

/** @throws AppError BUILD_STAGE_UNKNOWN */
function uncachedBy(
  { noCache = false, noCacheFilter = [] }: BuildRequest,
  dockerfile: Dockerfile,
): (step: Step) => boolean {
  const stages = new Set(
    noCacheFilter.map((name) => {
      const stage = findStage(dockerfile.stages, name);
      if (stage !== undefined) return stage.index;
      const names = dockerfile.stages.map(({ from, index }) => from.name ?? String(index));
      throw new AppError('BUILD_STAGE_UNKNOWN', `no-cache-filter names ${JSON.stringify(name)}, which is no stage`, {
        hint: `stages: ${names.join(', ')}`,
      });
    }),
  );
  return (step) => noCache || stages.has(step.stage);
}

/** `<Dockerfile>.dockerignore` beats `.dockerignore`. */
async function withoutIgnored(
  context: BuildContext,
  dockerfile: string,
): Promise<{ readonly context: BuildContext; readonly ignore?: IgnoreFile }> {
  for (const name of [`${dockerfile}.dockerignore`, '.dockerignore']) {
    const text = await context.text(name);
    if (text === undefined) continue;
    try {
      const ignore = parseIgnore(text);
      return ignore.patterns.length === 0 ? { context } : { context: context.without(ignore), ignore };
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const { code, message, kind, hint } = error;
      throw new AppError(code, `${name}: ${message}`, { kind, cause: error, ...(hint === undefined ? {} : { hint }) });
    }
  }
  return { context };
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
function slotOf(request: BuildRequest, platform: Platform, scope: string): string {
  const [tag] = request.tags;
  return hashParts('wharf.slot.v1', [
    { name: 'scope', value: scope },
    { name: 'repository', value: tag === undefined ? '' : parseTag(tag).repository },
    { name: 'dockerfile', value: request.dockerfile ?? 'Dockerfile' },
    { name: 'target', value: request.target ?? '' },
    { name: 'platform', value: formatPlatform(platform) },
  ]);
}
