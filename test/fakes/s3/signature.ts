/** Signature version 4 (AWS General Reference, "Signing AWS API requests"), checked for headers and presigned URLs alike. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { S3Failure } from './failure.js';

/** The one pair of keys that a fake accepts. */
export const fakeCredentials = { accessKeyId: 'AKIAWHARFTEST0000000', secretAccessKey: 'wharf-test-secret-key' };

interface Claim {
  readonly credential: string;
  readonly signedHeaders: string;
  readonly signature: string;
  readonly date: string;
  readonly payloadHash: string;
  readonly query: readonly (readonly [string, string])[];
}

/** @throws S3Failure 403 unless the request is signed with the fake's credentials */
export function checkSignature(request: IncomingMessage): void {
  const [path = '/', search = ''] = (request.url ?? '/').split('?');
  const query = search
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair): [string, string] => {
      const [name = '', value = ''] = pair.split('=');
      return [name, value];
    });
  const claim = query.some(([name]) => name === 'X-Amz-Signature') ? presigned(query) : signedHeaders(request, query);
  const [keyId, day = '', region = '', service = '', end] = claim.credential.split('/');
  if (keyId !== fakeCredentials.accessKeyId || end !== 'aws4_request') throw new S3Failure(403, 'InvalidAccessKeyId');
  const canonical = [
    request.method,
    path,
    claim.query
      .map(([name, value]) => `${name}=${value}`)
      .toSorted()
      .join('&'),
    ...claim.signedHeaders.split(';').map((name) => `${name}:${headerText(request, name)}`),
    '',
    claim.signedHeaders,
    claim.payloadHash,
  ].join('\n');
  const scope = `${day}/${region}/${service}/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', claim.date, scope, createHash('sha256').update(canonical).digest('hex')].join(
    '\n',
  );
  const key = [day, region, service, 'aws4_request'].reduce<string | Buffer>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    `AWS4${fakeCredentials.secretAccessKey}`,
  );
  const signature = createHmac('sha256', key).update(toSign).digest();
  const given = Buffer.from(claim.signature, 'hex');
  if (given.length !== signature.length || !timingSafeEqual(given, signature)) {
    throw new S3Failure(403, 'SignatureDoesNotMatch');
  }
}

function presigned(query: readonly (readonly [string, string])[]): Claim {
  const get = (name: string): string => decodeURIComponent(query.find(([found]) => found === name)?.[1] ?? '');
  const date = get('X-Amz-Date');
  const madeMs = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (!(Date.now() <= madeMs + Number(get('X-Amz-Expires')) * 1000)) {
    throw new S3Failure(403, 'AccessDenied', 'Request has expired');
  }
  return {
    credential: get('X-Amz-Credential'),
    signedHeaders: get('X-Amz-SignedHeaders'),
    signature: get('X-Amz-Signature'),
    date,
    payloadHash: get('X-Amz-Content-Sha256') || 'UNSIGNED-PAYLOAD',
    query: query.filter(([name]) => name !== 'X-Amz-Signature'),
  };
}

function signedHeaders(request: IncomingMessage, query: Claim['query']): Claim {
  const match = /^AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]+)$/.exec(
    request.headers.authorization ?? '',
  );
  if (match === null) throw new S3Failure(403, 'AccessDenied', 'no signature');
  const [, credential = '', signed = '', signature = ''] = match;
  const date = headerText(request, 'x-amz-date');
  return {
    credential,
    signedHeaders: signed,
    signature,
    date,
    payloadHash: headerText(request, 'x-amz-content-sha256'),
    query,
  };
}

function headerText(request: IncomingMessage, name: string): string {
  return String(request.headers[name] ?? '')
    .trim()
    .replace(/ +/g, ' ');
}
