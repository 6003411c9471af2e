/**
 * What a build stands on beside its own context: images, repositories and files, each with the digest it had. Of the
 * stages that were needed, and of the contexts that were named by address.
 */
import { parseReference } from '../../oci/index.js';
import { contextAddress } from '../context/fetched-contexts.js';
import { sourcesOf } from '../keys/step-keys.js';
import type { Plan } from '../plan/plan.js';
import type { ProxyMaterial } from '../proxy/proxy-capture.js';
import type { BaseImage, RemoteRef } from '../plan/steps.js';
import type { BuildRequest } from '../types.js';
import type { DigestSet, FetchedSources } from './fetched-sources.js';
import { imageUrl } from './image-url.js';

/** SLSA's ResourceDescriptor. */
export interface Dependency {
  readonly uri: string;
  readonly digest?: DigestSet;
}

/** Each once: images, then repositories, then files, each kind by name. */
export function dependenciesOf(
  plan: Plan,
  request: Pick<BuildRequest, 'context' | 'contexts'>,
  fetched: FetchedSources,
  proxied: readonly ProxyMaterial[] = [],
): readonly Dependency[] {
  const remotes = [...remoteContexts(request), ...remoteSources(plan)];
  const of = (kind: RemoteRef['kind']): Dependency[] =>
    remotes.filter((remote) => remote.kind === kind).map((remote) => fetchedDependency(remote, fetched));
  const seen = proxied.map(({ url, sha256 }): Dependency => ({ uri: url, digest: { sha256 } }));
  return [imagesOf(plan).map(imageDependency), of('git'), [...of('http'), ...seen]].flatMap(sorted);
}

/** Base images and those that files are taken from. */
export function imagesOf(plan: Plan): readonly BaseImage[] {
  const bases = [...plan.stages.values()].flatMap(({ base }) => (base.kind === 'image' ? [base.image] : []));
  const sources = plan.steps.flatMap(sourcesOf).flatMap((source) => (source.from === 'image' ? [source.image] : []));
  return [...bases, ...sources];
}

export function remoteContexts({ context, contexts = {} }: Pick<BuildRequest, 'context' | 'contexts'>): RemoteRef[] {
  const main = typeof context === 'string' ? [] : [context];
  const named = Object.values(contexts).flatMap((each) => ('url' in each ? [each] : []));
  return [...main, ...named].map(contextAddress);
}

function remoteSources(plan: Plan): RemoteRef[] {
  return plan.steps.flatMap(sourcesOf).flatMap((source) => (source.from === 'remote' ? [source.remote] : []));
}

/** Without the digest that pinned it: the tag says what was asked for, the digest what that was. */
function imageDependency({ name, platform }: BaseImage): Dependency {
  const reference = parseReference(name);
  const [algorithm = '', hex = ''] = (reference.digest ?? '').split(':');
  const type = isLayout(name) ? 'oci' : 'docker';
  return { uri: imageUrl(reference, platform, type), digest: { [algorithm]: hex } };
}

/** As `layout-images.ts` names them. */
export function isLayout(name: string): boolean {
  return name.startsWith('oci-layout@');
}

export function fetchedDependency(remote: RemoteRef, fetched: FetchedSources): Dependency {
  const digest = fetched.identity(remote);
  return { uri: remote.url, ...(digest === undefined ? {} : { digest }) };
}

function sorted(dependencies: readonly Dependency[]): readonly Dependency[] {
  // An address may have given one thing to one step and another to the next.
  const byName = new Map(dependencies.map((each) => [JSON.stringify(each), each]));
  return [...byName.values()].sort((a, b) => (a.uri < b.uri ? -1 : 1));
}
