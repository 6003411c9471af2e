/** What a RUN asked for through its proxy: every request, and the digest of what came where all of it came. */

export interface ProxyRequest {
  readonly method: string;
  readonly url: string;
  /** 502 when the server could not be reached, 403 when it may not be. */
  readonly status: number;
  /** Where the answer leads on to. */
  readonly location?: string;
  /** Of a refusal of the proxy's own: programs seldom show what it answered. */
  readonly why?: string;
}

export interface ProxyMaterial {
  readonly url: string;
  /** Of the body, as hexadecimal digits. */
  readonly sha256: string;
}

/** In BuildKit's words. */
export type IncompleteReason =
  | 'method_not_materializable'
  | 'partial_response'
  | 'body_read_failed'
  | 'unsuccessful_response'
  | 'upstream_error'
  | 'too_many_requests';

export interface ProxyIncomplete {
  readonly method: string;
  readonly url: string;
  readonly reason: IncompleteReason;
}

/** What is kept of a step. */
export interface ProxyRecord {
  readonly materials: readonly ProxyMaterial[];
  readonly incomplete: readonly ProxyIncomplete[];
}

/** Of one RUN; what goes beyond that is said once, as incomplete. */
const MAX_REQUESTS = 10_000;

export class ProxyCapture {
  private readonly asked: ProxyRequest[] = [];
  private readonly got = new Map<string, ProxyMaterial>();
  private readonly missed: ProxyIncomplete[] = [];
  private isFull = false;

  /** @param clean takes secrets out of what is kept */
  constructor(private readonly clean: (text: string) => string) {}

  get requests(): readonly ProxyRequest[] {
    return this.asked;
  }

  request(request: ProxyRequest): void {
    if (this.asked.length >= MAX_REQUESTS) {
      if (!this.isFull) this.incomplete({ ...request, reason: 'too_many_requests' });
      this.isFull = true;
      return;
    }
    const { location, why } = request;
    this.asked.push({
      ...request,
      url: this.shown(request.url),
      ...(location === undefined ? {} : { location: this.shown(location) }),
      ...(why === undefined ? {} : { why: this.clean(why) }),
    });
  }

  material({ url, sha256 }: ProxyMaterial): void {
    if (this.isFull) return;
    const name = this.shown(url);
    this.got.set(`${name} ${sha256}`, { url: name, sha256 });
  }

  incomplete({ method, url, reason }: ProxyIncomplete): void {
    if (this.missed.length <= MAX_REQUESTS) this.missed.push({ method, url: this.shown(url), reason });
  }

  /** An address that leads to another one stands for what came from there. */
  record(): ProxyRecord {
    const digests = new Map([...this.got.values()].map(({ url, sha256 }) => [url, sha256]));
    const led = this.asked.filter(({ location, url }) => location !== undefined && !digests.has(url));
    const materials = [...this.got.values()];
    // From the last to the first, so that a chain is followed in one go.
    for (const { url, location = '' } of led.reverse()) {
      const sha256 = digests.get(location);
      if (sha256 === undefined || digests.has(url)) continue;
      digests.set(url, sha256);
      materials.push({ url, sha256 });
    }
    return { materials, incomplete: this.missed };
  }

  /** Without user, password and the port that goes without saying. */
  private shown(url: string): string {
    if (!URL.canParse(url)) return this.clean(url);
    const parsed = new URL(url);
    parsed.username = '';
    parsed.password = '';
    return this.clean(parsed.href);
  }
}
