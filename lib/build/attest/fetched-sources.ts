/** What a build fetched, remembered by the reference that named it, so that it can be told afterwards what came. */
import type { RemoteFiles } from '../fetch/remote-files.js';
import type { RemoteRef } from '../plan/steps.js';

/** Digests by the name of their algorithm, as in-toto has them. */
export type DigestSet = Readonly<Record<string, string>>;

type Fetch = (remote: RemoteRef) => Promise<RemoteFiles>;

export class FetchedSources {
  private readonly identities = new Map<string, DigestSet>();

  /** The same function, which takes notes. */
  watch(fetch: Fetch): Fetch {
    return async (remote) => {
      const files = await fetch(remote);
      this.identities.set(addressOf(remote), files.identity);
      return files;
    };
  }

  identity(remote: RemoteRef): DigestSet | undefined {
    return this.identities.get(addressOf(remote));
  }
}

/** What decides which commit or file it is. */
function addressOf(remote: RemoteRef): string {
  return JSON.stringify([remote.url, remote.kind === 'git' ? remote.ref : '', remote.checksum ?? '']);
}
