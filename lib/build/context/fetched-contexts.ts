/**
 * Contexts that a request names by address: fetched as ADD fetches, under the same guard and with the same secrets,
 * and from then on contexts like any other. A commit's files lie in the store as a plain tar, and so does a tar that
 * was fetched; an address of anything else is a Dockerfile without a context, as with docker.
 */
import { sniffCompression, writeTar } from '../../layers/index.js';
import type { Digest } from '../../oci/index.js';
import type { ByteSource, ContentStore } from '../../store/index.js';
import { AppError } from '../../errors/index.js';
import { buildkitSettings } from '../plan/buildkit-args.js';
import type { RemoteFiles } from '../fetch/remote-files.js';
import { parseRemote } from '../fetch/remote-source.js';
import type { RemoteRef } from '../plan/steps.js';
import type { BuildRequest, LocalContext, RemoteContext } from '../types.js';

/** A request whose contexts are all in the store. */
export interface LocalRequest extends Omit<BuildRequest, 'context' | 'contexts'> {
  readonly context: Digest;
  readonly contexts?: Readonly<Record<string, LocalContext>>;
  /** Those that were fetched, by the digest of the context they became. */
  readonly fetched: ReadonlyMap<Digest, RemoteFiles>;
}

type Fetch = (remote: RemoteRef) => Promise<RemoteFiles>;

const MAX_DOCKERFILE_BYTES = 128 * 1024;

/** @throws AppError BUILD_REMOTE_INVALID, BUILD_UNSUPPORTED_ADD_REMOTE: before anything is fetched */
export function contextAddress({ url }: RemoteContext): RemoteRef {
  const bare = /^github\.com\/([^?#]+)(.*)$/s.exec(url);
  if (bare === null) return parseRemote(url, {}, 'the context');
  // As docker's command line has always taken it, with or without .git at its end.
  const [, path = '', rest = ''] = bare;
  return parseRemote(`https://github.com/${path.replace(/(\.git)?\/*$/, '.git')}${rest}`, {}, 'the context');
}

export async function fetchContexts(
  content: Pick<ContentStore, 'open' | 'put'>,
  request: BuildRequest,
  fetch: Fetch,
): Promise<LocalRequest> {
  const fetched = new Map<Digest, RemoteFiles>();
  const named = Object.entries(request.contexts ?? {}).map(async ([name, value]): Promise<[string, LocalContext]> => {
    if (!('url' in value)) return [name, value];
    const files = await fetch(contextAddress(value));
    fetched.set(files.blob, files);
    return [name, { context: files.blob }];
  });
  const main = fetchMain(content, request, fetch, fetched);
  const { contexts: _, ...rest } = request;
  const contexts = await Promise.all(named);
  const local = { ...rest, ...(await main), fetched };
  return contexts.length === 0 ? local : { ...local, contexts: Object.fromEntries(contexts) };
}

async function fetchMain(
  content: Pick<ContentStore, 'open' | 'put'>,
  { context, args = {} }: BuildRequest,
  fetch: Fetch,
  fetched: Map<Digest, RemoteFiles>,
): Promise<Pick<LocalRequest, 'context' | 'dockerfileText'>> {
  if (typeof context === 'string') return { context };
  const address = contextAddress(context);
  const { keepGitFolder } = buildkitSettings(args);
  const files = await fetch(
    address.kind === 'git' ? { ...address, keepGitFolder: address.keepGitFolder || keepGitFolder } : address,
  );
  const { blob } = files;
  fetched.set(blob, files);
  const head = await read(content, blob, { start: 0, end: 511 });
  if (sniffCompression(head) !== undefined) return { context: blob };
  const text = await read(content, blob, { start: 0, end: MAX_DOCKERFILE_BYTES });
  if (text.length > MAX_DOCKERFILE_BYTES || text.includes(0)) {
    throw new AppError('CONTEXT_UNKNOWN_FORM', `${context.url} is neither an archive nor a Dockerfile`, {
      hint: 'a tar, plain or compressed; a git repository by an address that ends in .git; or a Dockerfile',
    });
  }
  const { digest } = await content.put(writeTar([]));
  fetched.set(digest, files);
  return { context: digest, dockerfileText: text.toString('utf8') };
}

async function read(
  content: Pick<ContentStore, 'open'>,
  blob: Digest,
  range: { readonly start: number; readonly end: number },
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of ((await content.open(blob, range)) ?? []) as ByteSource) chunks.push(chunk);
  return Buffer.concat(chunks);
}
