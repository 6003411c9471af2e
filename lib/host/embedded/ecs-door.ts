/**
 * The door in front of the engine's ECS API. Requests signed with this platform's own keys always pass. On loopback any
 * other request passes too, as at every emulator of AWS (docs/decisions/0006); elsewhere it is refused.
 */
import { type AccessKey, verifySigV4 } from '../../auth/index.js';
import type { Engine } from '../../engine/index.js';
import type { Clock, Ids, SecretStore } from '../../store/index.js';

export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

const SECRET = 'ecs/secret-access-key';
const ACCESS_KEY_ID = 'WHARFENGINE000000001';

/** The platform's own keys, made at the first start. */
export async function openAwsKeys(secrets: SecretStore, ids: Ids): Promise<AwsKeys> {
  const kept = await secrets.get(SECRET);
  const secretAccessKey = kept ?? ids.hex(20);
  if (kept === undefined) await secrets.put(SECRET, secretAccessKey);
  return { accessKeyId: ACCESS_KEY_ID, secretAccessKey };
}

export interface EcsDoorOptions {
  readonly keys: AwsKeys;
  /** The region that requests are signed for. */
  readonly region: string;
  readonly clock: Clock;
  /** True where only this machine reaches the port. */
  readonly takesAnyCredentials: boolean;
}

export function ecsDoor(engine: Engine, options: EcsDoorOptions): { fetch(request: Request): Promise<Response> } {
  if (options.takesAnyCredentials) return { fetch: (request) => engine.fetch(request) };
  const lookUp = async (accessKeyId: string): Promise<AccessKey<'platform'> | undefined> =>
    accessKeyId === options.keys.accessKeyId ? { secret: options.keys.secretAccessKey, owner: 'platform' } : undefined;
  return {
    async fetch(request) {
      const url = new URL(request.url);
      const body = new Uint8Array(await request.arrayBuffer());
      const signed = {
        method: request.method,
        path: url.pathname,
        query: url.search.slice(1),
        headers: Object.fromEntries(request.headers),
        body,
      };
      const result = await verifySigV4(signed, lookUp, {
        service: 'ecs',
        region: options.region,
        clock: options.clock,
      });
      if (result.outcome === 'refused') {
        const refusal = { __type: result.code, message: result.message };
        return Response.json(refusal, { status: 403, headers: { 'content-type': 'application/x-amz-json-1.1' } });
      }
      return engine.fetch(new Request(request.url, { method: 'POST', headers: request.headers, body }));
    },
  };
}
