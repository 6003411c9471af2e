/**
 * Docker Hub, GHCR and Amazon ECR as far as their ways differ, on loopback: who gives tokens, what a refusal looks like,
 * where bytes lie. A storage host refuses whoever shows credentials beside the signature, as S3 does. The `fetch` here
 * leads the vendors' host names to it, so that it is seen what each host is shown.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { digestOf } from '../../lib/oci/index.js';

export const ECR = '123456789012.dkr.ecr.eu-west-1.amazonaws.com';
/** Without it, a repository named `public/…` may be pulled and no other. */
export const SECRETS = { hub: 'dckr_pat_secret', ghcr: 'ghp_secret', ecr: 'ecr-token-1' } as const;

export interface SeenRequest {
  readonly host: string;
  readonly request: string;
  readonly authorization: string | undefined;
}

export interface VendorRegistries {
  readonly fetch: typeof globalThis.fetch;
  readonly seen: SeenRequest[];
  /** Blobs and manifests, by `host repository digest-or-tag`. */
  readonly content: Map<string, Buffer>;
  /** Docker Hub answers every pull with a 429 that has these headers; undefined: none. */
  hubLimit: Readonly<Record<string, string>> | undefined;
  close(): Promise<void>;
}

interface Ask {
  readonly host: string;
  readonly method: string;
  readonly url: URL;
  readonly authorization: string | undefined;
  readonly body: Buffer;
}
type Answer = readonly [status: number, headers?: Readonly<Record<string, string>>, body?: Buffer | object | string];

interface BearerVendor {
  readonly realm: string;
  readonly service: string;
  readonly basic: string;
  /** What the token service says to wrong credentials, and to nobody for what is private. */
  readonly wrong: Answer;
  readonly storage: string;
  /** What it says beside the token. */
  readonly more: object;
}

const basic = (user: string, secret: string): string => `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}`;
const refusal = (code: string, message: string): object => ({ errors: [{ code, message }] });

const BEARER: Readonly<Record<string, BearerVendor>> = {
  'registry-1.docker.io': {
    realm: 'https://auth.docker.io/token',
    service: 'registry.docker.io',
    basic: basic('me', SECRETS.hub),
    wrong: [401, {}, { details: 'incorrect username or password' }],
    storage: 'production.cloudflare.docker.com',
    more: { expires_in: 300, issued_at: '2026-01-01T00:00:00Z' },
  },
  'ghcr.io': {
    realm: 'https://ghcr.io/token',
    service: 'ghcr.io',
    basic: basic('me', SECRETS.ghcr),
    wrong: [403, {}, refusal('DENIED', 'denied: denied')],
    storage: 'pkg-containers.githubusercontent.com',
    more: {},
  },
};
const STORAGE = new Set(['production.cloudflare.docker.com', 'pkg-containers.githubusercontent.com', `layers.${ECR}`]);

export async function startVendorRegistries(): Promise<VendorRegistries> {
  const seen: SeenRequest[] = [];
  const content = new Map<string, Buffer>();
  const server = createServer((incoming, outgoing) => void serve(vendors, incoming, outgoing));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const vendors: VendorRegistries = {
    async fetch(input, init) {
      const url = new URL(input instanceof Request ? input.url : input);
      if (url.protocol !== 'https:') throw new TypeError(`${url.origin} is not https`);
      const headers = { ...(init?.headers as Record<string, string>), 'x-host': url.host };
      const response = await fetch(`http://127.0.0.1:${port}${url.pathname}${url.search}`, { ...init, headers });
      return Object.defineProperty(response, 'url', { value: url.href });
    },
    seen,
    content,
    hubLimit: undefined,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return vendors;
}

async function serve(vendors: VendorRegistries, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const host = String(incoming.headers['x-host']);
  const { method = 'GET', url = '/', headers } = incoming;
  vendors.seen.push({ host, request: `${method} ${url}`, authorization: headers.authorization });
  const body = await buffer(incoming);
  const ask = { host, method, url: new URL(url, `https://${host}`), authorization: headers.authorization, body };
  const [status, more = {}, text = ''] = answer(vendors, ask);
  const bytes = Buffer.isBuffer(text) ? text : Buffer.from(typeof text === 'string' ? text : JSON.stringify(text));
  outgoing.writeHead(status, { 'content-length': bytes.length, ...more }).end(method === 'HEAD' ? undefined : bytes);
}

function answer(vendors: VendorRegistries, ask: Ask): Answer {
  const issuer = Object.values(BEARER).find(({ realm }) => realm === `${ask.url.origin}${ask.url.pathname}`);
  if (issuer !== undefined) return token(issuer, ask);
  if (STORAGE.has(ask.host)) return stored(vendors, ask);
  const [, repository = '', kind = '', reference = ''] =
    /^\/v2\/(.+)\/(blobs|manifests)\/(.+)$/.exec(ask.url.pathname) ?? [];
  const vendor = BEARER[ask.host];
  const refused = vendor === undefined ? ecrRefusal(ask) : bearerRefusal(vendor, ask, repository);
  if (refused !== undefined) return refused;
  if (repository === '') return [200, {}, {}];
  if (vendor?.service === 'registry.docker.io' && vendors.hubLimit !== undefined && kind === 'manifests') {
    return [429, vendors.hubLimit, refusal('TOOMANYREQUESTS', 'You have reached your pull rate limit.')];
  }
  return content(vendors, ask, { repository, kind, reference, storage: vendor?.storage ?? `layers.${ECR}` });
}

function token(vendor: BearerVendor, { url, authorization }: Ask): Answer {
  const scopes = url.searchParams.getAll('scope');
  if (authorization !== undefined && authorization !== vendor.basic) return vendor.wrong;
  const isOpen = scopes.every((scope) => /^repository:(public|library)\/[^:]+:pull$/.test(scope));
  // GHCR gives nobody a token for what is private; Docker Hub gives one that is worth nothing there.
  if (authorization === undefined && !isOpen && vendor.service === 'ghcr.io') {
    return [401, {}, refusal('UNAUTHORIZED', 'authentication required')];
  }
  const text = authorization !== undefined || isOpen ? `${vendor.service} ${scopes.join(' ')}` : 'nothing';
  return [200, {}, { token: Buffer.from(text).toString('base64url'), ...vendor.more }];
}

function bearerRefusal(vendor: BearerVendor, { method, authorization }: Ask, repository: string): Answer | undefined {
  const actions = ['GET', 'HEAD'].includes(method) ? 'pull' : 'pull,push';
  const shown = Buffer.from(/^Bearer (.+)$/.exec(authorization ?? '')?.[1] ?? '', 'base64url').toString();
  const [service, ...scopes] = shown.split(' ');
  const covers = scopes.some((scope) => scope.startsWith(`repository:${repository}:`) && scope.includes(actions));
  if (service === vendor.service && (repository === '' || covers)) return undefined;
  const scope = repository === '' ? '' : `,scope="repository:${repository}:${actions}"`;
  const error = shown === '' ? '' : ',error="insufficient_scope"';
  const challenge = `Bearer realm="${vendor.realm}",service="${vendor.service}"${scope}${error}`;
  return [401, { 'www-authenticate': challenge }, refusal('UNAUTHORIZED', 'authentication required')];
}

function ecrRefusal({ authorization }: Ask): Answer | undefined {
  if (authorization === basic('AWS', SECRETS.ecr)) return undefined;
  if (authorization?.startsWith('Basic ') === true) {
    // No challenge, and no document.
    return [
      403,
      { 'content-type': 'text/plain' },
      'Your authorization token has expired. Reauthenticate and try again.',
    ];
  }
  return [401, { 'www-authenticate': `Basic realm="https://${ECR}/",service="ecr.amazonaws.com"` }, 'Not Authorized\n'];
}

interface Place {
  readonly repository: string;
  readonly kind: string;
  readonly reference: string;
  readonly storage: string;
}

function content({ content: held }: VendorRegistries, ask: Ask, place: Place): Answer {
  const { repository, kind, reference, storage } = place;
  const { host, method, body, url } = ask;
  if (host === ECR && repository === 'absent') {
    return [404, {}, refusal('NAME_UNKNOWN', `The repository with name 'absent' does not exist in the registry`)];
  }
  const keep = (name: string): void => void held.set(`${host} ${repository} ${name}`, body);
  if (method === 'POST') {
    const session = `/v2/${repository}/blobs/uploads/1f7c`;
    return [202, { location: host === 'ghcr.io' ? session : `https://${host}${session}?_state=a%2Bb` }];
  }
  if (method === 'PUT') {
    const digest = digestOf(body);
    keep(digest);
    if (kind === 'manifests') keep(reference);
    else if (url.searchParams.get('digest') !== digest) return [400, {}, refusal('DIGEST_INVALID', 'not these bytes')];
    return [201, { 'docker-content-digest': digest }];
  }
  const bytes = held.get(`${host} ${repository} ${reference}`);
  if (bytes === undefined) return [404, {}, refusal(kind === 'blobs' ? 'BLOB_UNKNOWN' : 'MANIFEST_UNKNOWN', 'unknown')];
  const digest = digestOf(bytes);
  if (kind === 'blobs' && method === 'GET') {
    return [307, { location: `https://${storage}/${host}/${repository}/${digest}?X-Amz-Signature=5` }];
  }
  const types = { 'content-type': 'application/vnd.oci.image.index.v1+json', 'docker-content-digest': digest };
  const limits =
    host === 'registry-1.docker.io' ? { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '7;w=21600' } : {};
  return [200, { ...types, ...limits }, bytes];
}

function stored({ content: held }: VendorRegistries, { authorization, url }: Ask): Answer {
  if (authorization !== undefined) return [400, {}, 'Only one auth mechanism allowed'];
  const [, host = '', repository = '', digest = ''] = /^\/([^/]+)\/(.+)\/([^/]+)$/.exec(url.pathname) ?? [];
  const bytes = held.get(`${host} ${repository} ${digest}`);
  return bytes === undefined || !url.searchParams.has('X-Amz-Signature') ? [403] : [200, {}, bytes];
}
