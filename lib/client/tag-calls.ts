/** Tags over time, and copies of images to other registries. */
import { AppError } from '../errors/index.js';
import type { Digest } from '../oci/index.js';
import type { PushProgress, PushResult } from '../registry/client/index.js';
import type { TagHistoryEntry } from '../registry/index.js';
import { parseEvents } from './event-stream.js';
import { errorOf, type Transport } from './transport.js';

export type ImageCopyEvent =
  | ({ readonly type: 'blob' } & PushProgress)
  | ({ readonly type: 'finished'; readonly digest: Digest; readonly to: string } & PushResult);

export class TagCalls {
  constructor(private readonly transport: Transport) {}

  async history(repository: string, tag: string): Promise<readonly TagHistoryEntry[]> {
    const path = `${tagPath(repository, tag)}/history`;
    return (await this.transport.call<{ history: readonly TagHistoryEntry[] }>('GET', path)).history;
  }

  remove(repository: string, tag: string): Promise<void> {
    return this.transport.call('DELETE', tagPath(repository, tag));
  }

  /** @param digest the newest of its history when absent */
  undelete(repository: string, tag: string, digest?: string): Promise<{ readonly digest: Digest }> {
    const json = digest === undefined ? {} : { digest };
    return this.transport.call('POST', `${tagPath(repository, tag)}/undelete`, { json });
  }

  /** The last event is `finished`. @throws AppError of the other registry, STREAM_LOST */
  async *push(
    image: string,
    to: string,
    settings: {
      /** Take what is attached to the image along: signatures, SBOMs. */
      readonly referrers?: boolean;
      readonly signal?: AbortSignal;
    } = {},
  ): AsyncGenerator<ImageCopyEvent> {
    const path = `/v1/images/${encodeURIComponent(image)}/push`;
    const headers = { accept: 'text/event-stream' };
    const { referrers, ...rest } = settings;
    const json = { to, ...(referrers === undefined ? {} : { referrers }) };
    const { body } = await this.transport.send('POST', path, { json, headers, ...rest });
    for await (const { data } of parseEvents(body)) {
      const event = JSON.parse(data) as ImageCopyEvent | { readonly type: 'failed'; readonly problem: ProblemLike };
      if (event.type === 'failed') {
        throw errorOf(event.problem, JSON.stringify(event.problem));
      }
      yield event;
      if (event.type === 'finished') return;
    }
    throw new AppError('STREAM_LOST', 'the copy broke off', {
      kind: 'unavailable',
      hint: 'the same again: what arrived is not sent twice',
    });
  }
}

interface ProblemLike {
  readonly status: number;
}

function tagPath(repository: string, tag: string): string {
  return `/v1/repositories/${encodeURIComponent(repository)}/tags/${encodeURIComponent(tag)}`;
}
