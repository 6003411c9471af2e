/** Builds, and the contexts they are made from. */
import { randomUUID } from 'node:crypto';
import type { Build, BuildRequest, LoggedBuildEvent } from '../build/index.js';
import type { Digest } from '../oci/index.js';
import { buildQuery, type ContextAnswer, contextList, type TarBuild } from './build-query.js';
import { follow } from './event-stream.js';
import type { CallSettings, Transport } from './transport.js';
import type { BuiltArchiveQuery, PageQuery } from './views.js';

/** As SubmitOptions has them. */
export interface GivenSecrets {
  readonly secrets?: ReadonlyMap<string, Uint8Array>;
  readonly ssh?: ReadonlyMap<string, readonly Uint8Array[]>;
}

export class BuildCalls {
  constructor(private readonly transport: Transport) {}

  /** Builds from a tar while it streams. */
  fromTar(tar: AsyncIterable<Uint8Array>, build: TarBuild, settings: CallSettings = {}): Promise<Build> {
    return this.transport.call('POST', '/v1/builds', {
      body: tar,
      contentType: 'application/x-tar',
      idempotencyKey: randomUUID(),
      query: buildQuery(build),
      ...settings,
    });
  }

  /** Builds from a context that was sent before. @throws AppError CONTEXT_NOT_FOUND */
  fromSent(context: Digest, build: TarBuild, settings: CallSettings = {}): Promise<Build> {
    return this.transport.call('POST', '/v1/builds', {
      idempotencyKey: randomUUID(),
      query: { context, ...buildQuery(build) },
      ...settings,
    });
  }

  /** @param given values that are kept apart from the request, and sealed */
  fromContext(request: BuildRequest, { secrets, ssh }: GivenSecrets = {}): Promise<Build> {
    return this.transport.call('POST', '/v1/builds', {
      json: {
        ...request,
        ...(secrets === undefined ? {} : { secrets: Object.fromEntries([...secrets].map(inBase64)) }),
        ...(ssh === undefined ? {} : { ssh: Object.fromEntries([...ssh].map(([id, keys]) => [id, keys.map(base64)])) }),
      },
      idempotencyKey: randomUUID(),
    });
  }

  uploadContext(tar: AsyncIterable<Uint8Array>): Promise<{ digest: Digest; sizeBytes: number }> {
    return this.transport.call('POST', '/v1/contexts', { body: tar, contentType: 'application/x-tar' });
  }

  /** @param list as encodeContextManifest writes it */
  offerContext(list: Uint8Array, name: string, settings: CallSettings = {}): Promise<ContextAnswer> {
    return this.transport.call('POST', '/v1/contexts', { ...contextList(list), query: { name }, ...settings });
  }

  /** Sends contents that are missing, from an offset on. */
  sendContents(
    upload: string,
    contents: AsyncIterable<Uint8Array>,
    offset = 0,
    settings: CallSettings = {},
  ): Promise<{ readonly digest: Digest; readonly sizeBytes: number } | { readonly offset: number }> {
    return this.transport.call('PUT', `/v1/contexts/${encodeURIComponent(upload)}`, {
      body: contents,
      contentType: 'application/octet-stream',
      query: { offset },
      ...settings,
    });
  }

  get(id: string): Promise<Build> {
    return this.transport.call('GET', buildPath(id));
  }

  list(query: PageQuery = {}): Promise<{ builds: readonly Build[]; cursor?: string }> {
    return this.transport.call('GET', '/v1/builds', { query: { ...query } });
  }

  cancel(id: string): Promise<Build> {
    return this.transport.call('POST', `${buildPath(id)}/cancel`);
  }

  /** What a build made as a tar, while it streams. */
  image(id: string, query: BuiltArchiveQuery, settings: CallSettings = {}): Promise<AsyncIterable<Uint8Array>> {
    return this.transport.stream(`${buildPath(id)}/image`, { query: { ...query }, ...settings });
  }

  /** A cache that a build wrote for a folder, as the tar of an OCI layout. */
  cache(id: string, digest: Digest, settings: CallSettings = {}): Promise<AsyncIterable<Uint8Array>> {
    return this.transport.stream(`${buildPath(id)}/cache`, { query: { digest }, ...settings });
  }

  /** All events from the first to the last, over broken connections too. */
  async *follow(id: string, settings: CallSettings = {}): AsyncIterable<LoggedBuildEvent> {
    const events = follow(this.transport, `${buildPath(id)}/log`, {
      ...settings,
      isLast: ({ event }) => event === 'finished',
    });
    for await (const event of events) yield JSON.parse(event.data) as LoggedBuildEvent;
  }
}

function buildPath(id: string): string {
  return `/v1/builds/${encodeURIComponent(id)}`;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function inBase64([id, bytes]: readonly [string, Uint8Array]): [string, string] {
  return [id, base64(bytes)];
}
