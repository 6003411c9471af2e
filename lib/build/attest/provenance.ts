/**
 * Where an image comes from: the predicate of SLSA provenance v1 in BuildKit's shape (docs/attestations/slsa-definitions.md
 * there), so that what reads its attestations reads ours. `min` says what was built from what, and when; `max` adds what
 * it was built with: arguments, labels, ids of secrets, the Dockerfile and every step. No value of a secret has a place
 * in it, and what should hold one all the same is masked by whoever writes it down.
 */
import { formatPlatform, type Platform } from '../../oci/index.js';
import type { Plan } from '../plan/plan.js';
import type { RunMount } from '../plan/steps.js';
import type { BuildProvenance, BuildRequest } from '../types.js';
import { buildDefinition, type DefinitionInput } from './build-definition.js';
import { dependenciesOf, fetchedDependency, remoteContexts } from './dependencies.js';
import type { FetchedSources } from './fetched-sources.js';
import type { ProxyFetches } from './proxy-fetches.js';
import { requestArgs } from './request-args.js';

export const SLSA_PROVENANCE = 'https://slsa.dev/provenance/v1';
const BUILD_TYPE = 'https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md';

export interface ProvenanceInput extends DefinitionInput {
  readonly wanted: BuildProvenance;
  /** As it was sent: contexts by their addresses. */
  readonly request: BuildRequest;
  readonly plan: Plan;
  readonly fetched: FetchedSources;
  /** What RUN fetched through its proxy; absent when none had one. */
  readonly proxied?: ProxyFetches;
  /** Of the machine that builds. */
  readonly builder: Platform;
  readonly buildId: string;
  readonly startedMs: number;
  readonly finishedMs: number;
}

export function provenancePredicate(input: ProvenanceInput): object {
  const { wanted, request, plan, fetched, builder, proxied } = input;
  const isMax = wanted.mode === 'max';
  const locals = localContexts(request);
  const dependencies = dependenciesOf(plan, request, fetched, proxied?.materials).map((each) =>
    isMax ? each : withoutQuery(each),
  );
  const isComplete = locals.length === 0 && (proxied?.incomplete ?? []).length === 0;
  const args = requestArgs(request);
  const shown = isMax ? args : args.filter(([name]) => !/^(build-arg|label):/.test(name));
  const definition = isMax ? buildDefinition(input) : undefined;
  return {
    buildDefinition: {
      buildType: BUILD_TYPE,
      externalParameters: {
        configSource: configSource(request, fetched),
        request: {
          frontend: 'dockerfile.v0',
          ...(shown.length === 0 ? {} : { args: Object.fromEntries(shown) }),
          ...(isMax ? givenIds(plan) : {}),
          ...(locals.length === 0 ? {} : { locals: locals.map((name) => ({ name })) }),
        },
      },
      internalParameters: {
        ...(definition === undefined ? {} : { buildConfig: definition.buildConfig }),
        builderPlatform: formatPlatform(builder),
      },
      ...(dependencies.length === 0 ? {} : { resolvedDependencies: dependencies }),
    },
    runDetails: {
      builder: { id: wanted.builderId ?? '' },
      metadata: {
        invocationId: input.buildId,
        startedOn: new Date(input.startedMs).toISOString(),
        finishedOn: new Date(input.finishedMs).toISOString(),
        buildkit_metadata: {
          ...definition?.metadata,
          ...(proxied === undefined ? {} : networkMetadata(proxied, isMax)),
        },
        ...(isComplete && !usesNetwork(plan) ? { buildkit_hermetic: true } : {}),
        buildkit_completeness: { request: shown.length === args.length, resolvedDependencies: isComplete },
        ...(wanted.reproducible === true ? { buildkit_reproducible: true } : {}),
      },
    },
  };
}

function networkMetadata({ incomplete }: ProxyFetches, isMax: boolean): object {
  const shown = incomplete.map(({ uri, ...each }) => {
    if (uri === undefined) return each;
    return isMax ? { ...each, uri } : withoutQuery({ ...each, uri });
  });
  return { network: { mode: 'proxy', ...(shown.length === 0 ? {} : { proxy: { incomplete: shown } }) } };
}

/** A query may be what makes an address secret: a signature, a token out of a build argument. */
function withoutQuery<T extends { readonly uri: string }>(dependency: T): T {
  if (!/^https?:/.test(dependency.uri)) return dependency;
  return { ...dependency, uri: dependency.uri.replace(/\?.*$/, '') };
}

function configSource(request: BuildRequest, fetched: FetchedSources): object {
  const path = request.dockerfile ?? 'Dockerfile';
  if (typeof request.context === 'string') return { path };
  const [remote] = remoteContexts({ context: request.context });
  if (remote === undefined) return { path };
  const { digest } = fetchedDependency(remote, fetched);
  return { uri: request.context.url, ...(digest === undefined ? {} : { digest }), path };
}

/** What came from the client: nobody else can have it. */
function localContexts({ context, contexts = {}, dockerfileText }: BuildRequest): readonly string[] {
  const named = Object.entries(contexts).flatMap(([name, each]) => ('context' in each ? [name] : []));
  const main = typeof context === 'string' ? ['context', 'dockerfile'] : [];
  return [...(dockerfileText === undefined ? main : [...new Set([...main, 'dockerfile'])]), ...named].sort();
}

/** Ids of secrets and keys that RUN asked for. */
function givenIds(plan: Plan): object {
  const mounts = plan.steps.flatMap(({ op }) => (op.kind === 'run' ? op.mounts : []));
  const of = (type: 'secret' | 'ssh'): object[] => {
    const required = new Map<string, boolean>();
    for (const mount of mounts.filter((each): each is RunMount & { type: typeof type } => each.type === type)) {
      required.set(mount.id, (required.get(mount.id) ?? false) || mount.required);
    }
    const ids = [...required].sort(([a], [b]) => (a < b ? -1 : 1));
    return ids.map(([id, isRequired]) => (isRequired ? { id } : { id, optional: true }));
  };
  const [secrets, ssh] = [of('secret'), of('ssh')];
  return { ...(secrets.length === 0 ? {} : { secrets }), ...(ssh.length === 0 ? {} : { ssh }) };
}

/** A scan comes after the image, and is no part of it. */
function usesNetwork(plan: Plan): boolean {
  const steps = plan.steps.filter(({ stage }) => stage !== plan.scan?.index);
  return steps.some(({ op }) => op.kind === 'run' && op.network !== 'none');
}
