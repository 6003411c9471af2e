/**
 * Reference: the name of an image, `[registry/]repository[:tag][@digest]`, in the grammar of the OCI
 * distribution-spec (section Pulling manifests) and of docker's `reference` package.
 */
import { AppError } from '../errors/index.js';
import { type Digest, parseDigest } from './digest.js';

export interface Reference {
  /** Host and port as written, absent when the name has none. `ubuntu` and `team/app` have none. */
  readonly registry?: string;
  /** Path components, e.g. `team/app`. */
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const REGISTRY =
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?$/;
const MAX_REPOSITORY = 255;

/** @throws AppError REFERENCE_INVALID, naming the part that is wrong */
export function parseReference(text: string): Reference {
  const refuse = (part: string): AppError =>
    new AppError('REFERENCE_INVALID', `image reference ${JSON.stringify(text.slice(0, 300))}: ${part}`, {
      hint: '[registry[:port]/]repository[:tag][@sha256:…], with lower-case repository names',
    });
  if (text === '') throw refuse('it is empty');
  let rest = text;
  let digest: Digest | undefined;
  const at = rest.indexOf('@');
  if (at >= 0) {
    try {
      digest = parseDigest(rest.slice(at + 1));
    } catch (error) {
      throw refuse(error instanceof Error ? error.message : 'bad digest');
    }
    rest = rest.slice(0, at);
  }
  let registry: string | undefined;
  const slash = rest.indexOf('/');
  if (slash > 0 && looksLikeRegistry(rest.slice(0, slash))) {
    registry = rest.slice(0, slash);
    if (!REGISTRY.test(registry)) throw refuse(`registry ${JSON.stringify(registry)} is not a host name`);
    rest = rest.slice(slash + 1);
  }
  let tag: string | undefined;
  const colon = rest.lastIndexOf(':');
  if (colon > rest.lastIndexOf('/')) {
    tag = rest.slice(colon + 1);
    if (!TAG.test(tag)) throw refuse(`tag ${JSON.stringify(tag)} is not [A-Za-z0-9_][A-Za-z0-9._-]{0,127}`);
    rest = rest.slice(0, colon);
  }
  const bad = badRepositoryPart(rest);
  if (bad !== undefined) throw refuse(bad);
  return {
    ...(registry === undefined ? {} : { registry }),
    repository: rest,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** The reference as text; parsing it gives the same value. */
export function formatReference(reference: Reference): string {
  const registry = reference.registry === undefined ? '' : `${reference.registry}/`;
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`;
  const digest = reference.digest === undefined ? '' : `@${reference.digest}`;
  return `${registry}${reference.repository}${tag}${digest}`;
}

export function isRepositoryName(name: string): boolean {
  return badRepositoryPart(name) === undefined;
}

export function isTag(tag: string): boolean {
  return TAG.test(tag);
}

/** Docker's rule: the first component is a host when it has a dot or a colon, is `localhost`, or has an upper-case letter. */
function looksLikeRegistry(component: string): boolean {
  return /[.:]/.test(component) || component === 'localhost' || component !== component.toLowerCase();
}

function badRepositoryPart(name: string): string | undefined {
  if (name === '') return 'the repository is empty';
  if (name.length > MAX_REPOSITORY) return `the repository is longer than ${MAX_REPOSITORY} characters`;
  for (const component of name.split('/')) {
    if (!COMPONENT.test(component)) return `repository component ${JSON.stringify(component)} is not allowed`;
  }
  return undefined;
}
