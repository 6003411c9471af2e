/**
 * ImageBuilder: one request from context to image. Reads the context, plans, solves, exports; says what happens as
 * events. Knows no record of a build: the worker keeps those.
 */
import { LayerIndexes, LayerSegmentStore } from '../layers/index.js';
import type { Digest, Platform } from '../oci/index.js';
import type { LintWarning } from '../dockerfile/index.js';
import type { Images } from '../registry/index.js';
import type { Clock, ContentStore, Ids, RecordStore } from '../store/index.js';
import type { BaseImageDeps } from './images/base-image.js';
import { FetchedSources } from './attest/fetched-sources.js';
import { NO_SECRETS } from './build-secrets.js';
import { type BuildSource, openSource } from './context/build-source.js';
import { scopeOf, slotOf, uncachedBy } from './keys/cache-scope.js';
import { SingleFlight } from './solve/concurrency.js';
import { fetchContexts, type LocalRequest } from './context/fetched-contexts.js';
import { ImportedCaches } from './remote-cache/imported-caches.js';
import { LastSteps, NEVER_BUILT } from './solve/last-steps.js';
import { LayoutImages } from './images/layout-images.js';
import { outlineOf, targetsOf } from './plan/outline.js';
import { planReport } from './solve/plan-preview.js';
import type { Plan } from './plan/plan.js';
import { type PlatformBuild, planPlatforms, platformsOf } from './plan/platform-plans.js';
import type { SourceTimes } from './plan/source-epoch.js';
import { PolicedSources } from './policy/policed-sources.js';
import { SourceRules } from './policy/source-policy.js';
import type { RemoteImages } from './images/remote-images.js';
import { Redaction } from './redaction.js';
import { EgressGuard } from './fetch/egress-guard.js';
import { type RemoteFiles, RemoteSources, type RemoteSourcesOptions } from './fetch/remote-files.js';
import { remoteTime } from './fetch/remote-time.js';
import type { BuildReport, LintFinding, OutlineReport, PlanReport } from './report.js';
import type { Sandbox } from './sandbox/sandbox.js';
import { SentContexts } from './context/sent-contexts.js';
import type { SolverDeps } from './solve/solve-input.js';
import { ImageExporter, type SolvedBuild } from './image-exporter.js';
import type { BuildCall, RunningBuild } from './running-build.js';
import { Solver } from './solve/solver.js';
import { type CachedStep, StepCache } from './solve/step-cache.js';
import { StepExecutor } from './steps/step-executor.js';
import type { Layer, RemoteRef } from './plan/steps.js';
import type { BuildResult, SourcePolicy } from './types.js';
import type { BuildFunction } from './build-tries.js';

export interface ImageBuilderDeps {
  readonly records: RecordStore;
  readonly content: ContentStore;
  readonly images: Images;
  /** Shared with whoever else reads layers in this process; own ones when absent. */
  readonly indexes?: LayerIndexes;
  /** Shared with whoever takes contexts in this process; own ones when absent. */
  readonly contexts?: SentContexts;
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
  /** Steps of one build that run at once; 4 when absent. */
  readonly parallelism?: number;
  /** What ADD may fetch: addresses, sizes, times. Public addresses only when absent. */
  readonly fetching?: RemoteSourcesOptions;
  /** How long one RUN may take; as long as it wants when absent. */
  readonly runTimeoutMs?: number;
  /** For all builds, beside the policy that a request has. */
  readonly sourcePolicy?: SourcePolicy;
  /** Every RUN has the proxy as its only way out, whatever a request says. */
  readonly proxyNetwork?: boolean;
  /** Whose cache this is: builds of other scopes share nothing with it. */
  readonly scope?: string;
}

interface SolvableBuild {
  readonly plan: Plan;
  readonly solver: Solver;
}

export class ImageBuilder {
  private readonly contexts: SentContexts;
  private readonly indexes: LayerIndexes;
  private readonly cache: StepCache;
  private readonly lastSteps: LastSteps;
  private readonly executor: StepExecutor;
  private readonly sources: RemoteSources;
  private readonly hostRules: SourceRules | undefined;
  private readonly flights = new SingleFlight<CachedStep>();

  constructor(
    private readonly deps: ImageBuilderDeps,
    private readonly options: ImageBuilderOptions,
  ) {
    const { content, records, clock, ids, sandbox } = deps;
    this.contexts = deps.contexts ?? new SentContexts({ records, content, clock, ids });
    this.indexes = deps.indexes ?? new LayerIndexes({ content, records });
    const { indexes } = this;
    this.cache = new StepCache({ records, content, clock });
    this.lastSteps = new LastSteps({ records, content, clock });
    const guard = new EgressGuard(options.fetching?.egress);
    this.sources = new RemoteSources({ content, records, indexes, clock, guard }, options.fetching);
    const { platform, runTimeoutMs, sourcePolicy } = options;
    this.hostRules = sourcePolicy && new SourceRules(sourcePolicy, "this builder's source policy");
    this.executor = new StepExecutor({
      content,
      indexes,
      segments: new LayerSegmentStore({ content, records }),
      ids,
      platform,
      proxies: { guard, clock },
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
    const { startedMs = this.deps.clock.nowMs() } = call;
    const fetched = new FetchedSources();
    try {
      const policy = new PolicedSources(request.sourcePolicy, this.hostRules);
      const isProxied = this.options.proxyNetwork === true;
      const wanted = policy.contexts(isProxied ? { ...request, run: { ...request.run, proxyNetwork: true } } : request);
      return await this.run({ ...call, emit, wanted, startedMs, fetched, redaction, policy });
    } catch (error) {
      throw redaction.error(error);
    }
  };

  private async run(call: RunningBuild): Promise<BuildResult | BuildReport> {
    const { signal, wanted, policy } = call;
    const fetch = (remote: RemoteRef): Promise<RemoteFiles> => this.fetch(remote, call, signal);
    const request = await fetchContexts(this.deps.content, wanted, fetch);
    const source = await openSource(this.contexts, request, call);
    if (request.targets === true) return targetsOf(source.dockerfile);
    if (request.outline === true) return this.outline(request, source);
    const layouts = this.layouts(call);
    const times = this.times(request, fetch);
    const sources = { ...this.bases(call), layouts, times, policy };
    const builds = await planPlatforms(sources, this.options.platform, request, source, call.emit);
    const failure = source.lint.failure();
    if (failure !== undefined) throw failure;
    if (request.check === true) return { kind: 'check', warnings: source.lint.warnings.map(findingOf) };
    const { cacheFrom = [] } = request;
    const imported = await ImportedCaches.open({ ...this.bases(call), layouts, emit: call.emit }, cacheFrom);
    const made = new Map<string, CachedStep>();
    const solvers = builds.map((each) => ({
      plan: each.plan,
      solver: this.solver(request, source, each, made, imported, call),
    }));
    const done = await (request.plan === true
      ? this.preview(request, solvers, call)
      : this.make(request, source, solvers, call));
    imported?.tellIdle();
    return done;
  }

  private fetch(
    remote: RemoteRef,
    { fetched, wanted, secrets = NO_SECRETS }: RunningBuild,
    signal: AbortSignal,
  ): Promise<RemoteFiles> {
    const { scope = 'default' } = this.options;
    const isOld = wanted.compatibilityVersion === 10 && remote.kind === 'git';
    const watched = fetched.watch((each) => this.sources.fetch(each, { scope, secrets, signal }));
    return watched(isOld ? { ...remote, fileMode: 0o666 } : remote);
  }

  private outline(request: LocalRequest, { dockerfile }: BuildSource): OutlineReport {
    const buildPlatform = this.options.platform;
    const [platform = buildPlatform] = platformsOf(request, buildPlatform);
    const { target, args = {} } = request;
    return outlineOf({ dockerfile, args, platform, buildPlatform, ...(target === undefined ? {} : { target }) });
  }

  private async make(
    request: LocalRequest,
    source: BuildSource,
    builds: readonly SolvableBuild[],
    call: RunningBuild,
  ): Promise<BuildResult> {
    const solved: SolvedBuild[] = [];
    for (const { plan, solver } of builds) solved.push({ plan, solution: await solver.solve() });
    const { records, clock } = this.deps;
    const { indexes } = this;
    const { platform } = this.options;
    const deps = { ...this.bases(call), records, indexes, clock, platform, fetchLayers: this.fetchLayers(call) };
    return new ImageExporter(deps, request, source, call).export(solved);
  }

  private async preview(
    { tags }: LocalRequest,
    builds: readonly SolvableBuild[],
    call: RunningBuild,
  ): Promise<PlanReport> {
    const previews = [];
    for (const { solver } of builds) previews.push(await solver.preview());
    const report = planReport(previews, await this.bytesToFetch(previews.flatMap((preview) => preview.layers)));
    if (tags.length === 0 && report.steps.some(({ reason }) => reason === NEVER_BUILT)) {
      const text =
        'What changed since the last build of an image is told when the plan has its name: wharf build --plan -t <name>';
      call.emit({ type: 'message', text });
    }
    return report;
  }

  private async bytesToFetch(layers: readonly Layer[]): Promise<number> {
    const sizes = new Map<Digest, number>();
    for (const { descriptor, origin } of layers) {
      if (origin === undefined || (await this.deps.content.stat(descriptor.digest)) !== undefined) continue;
      sizes.set(descriptor.digest, descriptor.size);
    }
    return [...sizes.values()].reduce((total, size) => total + size, 0);
  }

  private times(request: LocalRequest, fetch: (remote: RemoteRef) => Promise<RemoteFiles>): SourceTimes {
    const { content } = this.deps;
    return {
      context: async (digest = request.context) => {
        const files = request.fetched.get(digest);
        return files === undefined ? undefined : remoteTime(content, files);
      },
      remote: async (remote) => remoteTime(content, await fetch(remote)),
    };
  }

  private bases({ signal }: BuildCall): BaseImageDeps {
    const { images, content, remote } = this.deps;
    const { registryHosts = [], allowDockerHub = false } = this.options;
    return { images, content, registryHosts, allowDockerHub, signal, ...(remote === undefined ? {} : { remote }) };
  }

  private layouts({ owner = '', signal }: BuildCall): LayoutImages {
    return new LayoutImages(this.deps.content, (context) => this.contexts.open(context, owner, signal));
  }

  private fetchLayers(call: BuildCall): SolverDeps['fetchLayers'] {
    const layouts = this.layouts(call);
    return async (layers, signal) => {
      await layouts.fetchLayers(layers, signal);
      await this.deps.remote?.fetchLayers(layers, signal);
    };
  }

  private solver(
    request: LocalRequest,
    { context, dockerfile }: BuildSource,
    { plan, platform }: PlatformBuild,
    made: Map<string, CachedStep>,
    imported: ImportedCaches | undefined,
    call: RunningBuild,
  ): Solver {
    const { content, clock } = this.deps;
    const { indexes, cache, lastSteps, executor, flights } = this;
    const { parallelism = 4, scope = 'default' } = this.options;
    const { compression } = request;
    const { secrets = NO_SECRETS } = call;
    return new Solver(
      {
        content,
        indexes,
        cache,
        lastSteps,
        executor,
        flights,
        now: () => clock.nowMs(),
        fetchLayers: this.fetchLayers(call),
      },
      {
        plan,
        context,
        scope: scopeOf(scope, compression),
        slot: slotOf(request, platform, scope),
        uncached: uncachedBy(request, dockerfile),
        made,
        buildId: call.id,
        owner: call.owner ?? '',
        ...(imported === undefined ? {} : { imported }),
        ...(compression === undefined ? {} : { compression }),
        parallelism,
        emit: call.emit,
        signal: call.signal,
        secrets,
        policed: (method, url) => call.policy.requested(method, url),
        remote: (remote, signal) => this.fetch(remote, call, signal),
        openContext: (digest, signal) => this.contexts.open(digest, call.owner ?? '', signal),
      },
    );
  }
}

function findingOf({ rule, message, line, url }: LintWarning): LintFinding {
  return { rule, message, ...(line === 0 ? {} : { line }), ...(url === undefined ? {} : { url }) };
}
