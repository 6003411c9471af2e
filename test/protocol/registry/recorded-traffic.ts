/** What docker, skopeo, podman and buildah sent when `record-traffic.ts` was run, each request with the answer it got. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface RecordedRequest {
  readonly method: string;
  /** `{7}` is the Location that the request of this index was answered with. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** base64 */
  readonly body?: string;
  readonly status: number;
}

/** Stands in bodies for the client's password. */
export const TOKEN = '{token}';

const file = join(import.meta.dirname, 'recorded-traffic.json');

export function recordedTraffic(): readonly RecordedRequest[] {
  return JSON.parse(readFileSync(file, 'utf8')) as readonly RecordedRequest[];
}
