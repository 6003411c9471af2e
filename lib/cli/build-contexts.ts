/**
 * Where a build's files come from, as the command line names it: a folder, a tar or a Dockerfile on standard input, an
 * address; and more of them by name. Folders and standard input are sent, everything else is only named.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isAbsolute, relative, resolve } from 'node:path';
import type { NamedContext, RemoteContext } from '../build/index.js';
import { AppError } from '../errors/index.js';
import { sniffCompression, writeTar } from '../layers/index.js';
import type { Digest } from '../oci/index.js';
import type { CommandDeps } from './deps.js';
import { withContext } from './send-context.js';

export interface WantedContexts {
  /** A folder, `-`, or an address. */
  readonly context: string;
  /** The Dockerfile: a path, or `-`. */
  readonly file?: string;
  /** Contexts of one name are compared with each other. */
  readonly name?: string;
  /** `name=place` */
  readonly named: readonly string[];
}

export interface GivenContexts {
  readonly context: Digest | RemoteContext;
  readonly contexts?: Readonly<Record<string, NamedContext>>;
  readonly dockerfile: string;
  readonly dockerfileText?: string;
}

/** Of a web server, or of a repository over ssh. */
function isAddress(place: string): boolean {
  return /^(https?|ssh):\/\/|^[\w.-]+@[^/:\s@]+:(?!\/\/)/i.test(place);
}

/** As docker's command line has it, where no folder is called so. */
function isGithub(deps: CommandDeps, place: string): boolean {
  return place.startsWith('github.com/') && !existsSync(resolve(deps.cwd, place.replace(/#.*$/s, '')));
}

const MAX_DOCKERFILE_BYTES = 128 * 1024;

/** Runs `use` with the contexts; what the platform does not have is sent. @throws AppError CONTEXT_…, DOCKERFILE_… */
export async function withContexts<T>(
  deps: CommandDeps,
  wanted: WantedContexts,
  use: (given: GivenContexts) => Promise<T>,
): Promise<T> {
  if (wanted.context === '-' && wanted.file === '-') {
    throw new AppError('CONTEXT_INVALID', 'context and Dockerfile cannot both come from standard input', {
      hint: 'a Dockerfile alone: wharf build - < Dockerfile',
    });
  }
  return withNamed(deps, wanted.named, {}, (contexts) => {
    const named = Object.keys(contexts).length === 0 ? {} : { contexts };
    return withMain(deps, wanted, (main) => use({ ...main, ...named }));
  });
}

/** One after the other, each around the next. */
async function withNamed<T>(
  deps: CommandDeps,
  [first, ...rest]: readonly string[],
  known: Readonly<Record<string, NamedContext>>,
  use: (contexts: Readonly<Record<string, NamedContext>>) => Promise<T>,
): Promise<T> {
  if (first === undefined) return use(known);
  const equals = first.indexOf('=');
  const [name, place] = [first.slice(0, equals), first.slice(equals + 1)];
  if (equals < 1 || place === '') throw badPlace(first);
  const go = (context: NamedContext): Promise<T> => withNamed(deps, rest, { ...known, [name]: context }, use);
  if (isAddress(place)) return go({ url: place });
  const [, scheme, path = ''] = /^([a-z][a-z-]*):\/\/(.+)$/.exec(place) ?? [];
  if (scheme === 'docker-image') return go({ image: path });
  if (scheme === 'target') return go({ stage: path });
  if (scheme === 'oci-layout') {
    const [, layout = '', tag, digest] = /^(.*?)(?::([\w][\w.-]*))?(?:@(sha\d+:[0-9a-f]+))?$/.exec(path) ?? [];
    const reference = digest ?? tag;
    const folder = { folder: layout, name: `${name}-layout`, isNamed: true } as const;
    return withContext(deps, folder, (context) =>
      go({ layout: context, ...(reference === undefined ? {} : { reference }) }),
    );
  }
  if (scheme !== undefined) throw badPlace(first);
  const folder = { folder: place, name: `${name}-context`, isNamed: true } as const;
  return withContext(deps, folder, (context) => go({ context }));
}

async function withMain<T>(
  deps: CommandDeps,
  { context, file, name }: WantedContexts,
  use: (given: GivenContexts) => Promise<T>,
): Promise<T> {
  const text = await dockerfileElsewhere(deps, context, file);
  if (isAddress(context) || isGithub(deps, context)) {
    return use({
      context: { url: context },
      dockerfile: text === undefined ? (file ?? 'Dockerfile') : 'Dockerfile',
      ...given(text),
    });
  }
  if (context === '-') return use(await fromStdin(deps, file));
  const folder = {
    folder: context,
    ...(name === undefined ? {} : { name }),
    ...(text === undefined ? (file === undefined ? {} : { dockerfile: file }) : { withoutDockerfile: true }),
  } as const;
  return withContext(deps, folder, (digest, dockerfile) => use({ context: digest, dockerfile, ...given(text) }));
}

function given(text: string | undefined): { readonly dockerfileText?: string } {
  return text === undefined ? {} : { dockerfileText: text };
}

/** The text of a Dockerfile that is not in the context: of standard input, or of a file outside of the folder. */
async function dockerfileElsewhere(deps: CommandDeps, context: string, file?: string): Promise<string | undefined> {
  if (file === undefined || context === '-') return undefined;
  if (file === '-') return checkedText(await wholeStdin(deps));
  if (isAddress(context) || isGithub(deps, context)) return undefined;
  const path = resolve(deps.cwd, file);
  const inside = relative(resolve(deps.cwd, context), path);
  const isOutside = inside.startsWith('../') || isAbsolute(inside);
  return isOutside && existsSync(path) ? checkedText(await readFile(path)) : undefined;
}

/** A tar is the context; anything else is a Dockerfile without one. */
async function fromStdin(deps: CommandDeps, file: string | undefined): Promise<GivenContexts> {
  const dockerfile = file ?? 'Dockerfile';
  const source = bytesOf(deps)[Symbol.asyncIterator]();
  const head: Buffer[] = [];
  while (Buffer.concat(head).length < 512) {
    const next = await source.next();
    if (next.done === true) break;
    head.push(next.value);
  }
  const rest = async function* (): AsyncGenerator<Buffer, void> {
    yield* head;
    for (let next = await source.next(); next.done !== true; next = await source.next()) yield next.value;
  };
  if (sniffCompression(Buffer.concat(head)) !== undefined) {
    return { context: (await deps.client.builds.uploadContext(rest())).digest, dockerfile };
  }
  const chunks: Buffer[] = [];
  for await (const chunk of rest()) chunks.push(chunk);
  const { digest } = await deps.client.builds.uploadContext(writeTar([]));
  return { context: digest, dockerfile, dockerfileText: checkedText(Buffer.concat(chunks)) };
}

async function* bytesOf({ stdin = process.stdin }: CommandDeps): AsyncGenerator<Buffer, void> {
  for await (const chunk of stdin) yield Buffer.from(chunk as Uint8Array);
}

async function wholeStdin(deps: CommandDeps): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of bytesOf(deps)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function checkedText(bytes: Buffer): string {
  if (bytes.length <= MAX_DOCKERFILE_BYTES && !bytes.includes(0) && bytes.length > 0) return bytes.toString('utf8');
  throw new AppError('DOCKERFILE_INVALID', `what should be a Dockerfile has ${bytes.length} bytes, or is no text`, {
    hint: `text of at most ${MAX_DOCKERFILE_BYTES} bytes, or a tar as context`,
  });
}

function badPlace(text: string): AppError {
  return new AppError('CONTEXT_INVALID', `--build-context ${JSON.stringify(text)} is not name=place`, {
    hint: 'a folder, https://…, git@host:path, docker-image://<name>, oci-layout://<folder>[:tag|@digest] or target://<stage>',
  });
}
