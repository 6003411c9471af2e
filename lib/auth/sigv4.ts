/**
 * Signature Version 4, the verifying side: our ECS and ECR endpoints take requests of the unmodified AWS SDK and CLI,
 * which prove who they are by signing (header form). Refusals carry the exception names those clients know.
 */
import type { Clock } from '../store/index.js';
import { sameText } from './secret-text.js';
import { canonicalRequest, signature, type SignedRequest, stringToSign } from './sigv4-canonical.js';

export type { SignedRequest } from './sigv4-canonical.js';

/** The error names of AWS JSON protocols for a request that is not let in. */
export type SigV4Refusal =
  | 'MissingAuthenticationTokenException'
  | 'IncompleteSignatureException'
  | 'UnrecognizedClientException'
  | 'InvalidSignatureException';

export type SigV4Result<T> =
  | { readonly outcome: 'verified'; readonly accessKeyId: string; readonly region: string; readonly owner: T }
  | { readonly outcome: 'refused'; readonly code: SigV4Refusal; readonly message: string };

/** What is known of an access key: its secret, and whom it stands for. */
export interface AccessKey<T> {
  readonly secret: string;
  readonly owner: T;
}

export interface SigV4Options {
  /** The service the request must be signed for, as in `ecs`. */
  readonly service: string;
  /** The region the request must be signed for; any when absent. */
  readonly region?: string;
  readonly clock: Clock;
  /** How far the signer's clock may be off; 300 s when absent. */
  readonly skewSeconds?: number;
}

interface Authorization {
  readonly accessKeyId: string;
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

/** @param lookupSecret undefined for an access key that is not known (any more) */
export async function verifySigV4<T>(
  request: SignedRequest,
  lookupSecret: (accessKeyId: string) => Promise<AccessKey<T> | undefined>,
  options: SigV4Options,
): Promise<SigV4Result<T>> {
  const header = request.headers['authorization'];
  if (header === undefined)
    return refuse('MissingAuthenticationTokenException', 'Request is missing Authentication Token');
  const shown = parseAuthorization(header);
  if (typeof shown === 'string') return refuse('IncompleteSignatureException', shown);
  const amzDate = request.headers['x-amz-date'] ?? '';
  const signedMs = parseAmzDate(amzDate);
  if (signedMs === undefined) {
    return refuse(
      'IncompleteSignatureException',
      `X-Amz-Date ${JSON.stringify(amzDate)} is not a date such as 20260131T235959Z`,
    );
  }
  const problem = scopeProblem(request, shown, amzDate, options);
  if (problem !== undefined) return refuse('InvalidSignatureException', problem);
  const skewMs = (options.skewSeconds ?? 300) * 1000;
  if (Math.abs(options.clock.nowMs() - signedMs) > skewMs) {
    return refuse(
      'InvalidSignatureException',
      `Signature expired: ${amzDate} is more than ${skewMs / 1000} s from the time here`,
    );
  }
  const key = await lookupSecret(shown.accessKeyId);
  if (key === undefined) {
    return refuse('UnrecognizedClientException', 'The security token included in the request is invalid.');
  }
  const scope = [shown.date, shown.region, shown.service] as const;
  const canonical = canonicalRequest(request, shown.signedHeaders);
  const toSign = stringToSign(amzDate, `${scope.join('/')}/aws4_request`, canonical);
  if (!sameText(signature(key.secret, scope, toSign), shown.signature)) {
    return refuse(
      'InvalidSignatureException',
      'The request signature we calculated does not match the signature you provided. Check your secret access key.',
    );
  }
  return { outcome: 'verified', accessKeyId: shown.accessKeyId, region: shown.region, owner: key.owner };
}

/** What is wrong with the credential scope or the list of signed headers, if anything. */
function scopeProblem(
  request: SignedRequest,
  shown: Authorization,
  amzDate: string,
  { service, region = shown.region }: SigV4Options,
): string | undefined {
  if (shown.date !== amzDate.slice(0, 8)) return `Date in Credential scope (${shown.date}) is not that of X-Amz-Date`;
  if (shown.service !== service) return `Credential should be scoped to correct service: '${service}'.`;
  if (shown.region !== region) {
    return `Credential should be scoped to a valid region: '${region}', not '${shown.region}'.`;
  }
  for (const name of ['host', 'x-amz-date']) {
    if (!shown.signedHeaders.includes(name)) return `'${name}' must be a signed header`;
  }
  // A header that steers the call must be under the signature when it is there.
  for (const name of ['x-amz-target', 'x-amz-security-token']) {
    if (request.headers[name] !== undefined && !shown.signedHeaders.includes(name))
      return `'${name}' must be a signed header`;
  }
  return undefined;
}

function parseAuthorization(header: string): Authorization | string {
  const [scheme, ...rest] = header.split(' ');
  if (scheme !== 'AWS4-HMAC-SHA256')
    return `Authorization scheme ${JSON.stringify((scheme ?? '').slice(0, 40))} is not AWS4-HMAC-SHA256`;
  const fields = new Map(
    rest
      .join(' ')
      .split(',')
      .map((field) => {
        const equals = field.indexOf('=');
        return [field.slice(0, Math.max(0, equals)).trim(), field.slice(equals + 1).trim()] as const;
      }),
  );
  const credential = fields.get('Credential')?.split('/');
  const signedHeaders = fields.get('SignedHeaders')?.split(';');
  const shownSignature = fields.get('Signature');
  if (credential === undefined) return "Authorization header requires 'Credential' parameter.";
  if (signedHeaders === undefined) return "Authorization header requires 'SignedHeaders' parameter.";
  if (shownSignature === undefined) return "Authorization header requires 'Signature' parameter.";
  const [accessKeyId, date, region, service, terminator] = credential;
  if (!accessKeyId || !date || !region || !service || terminator !== 'aws4_request' || credential.length !== 5) {
    return 'Credential must be <access key>/<yyyymmdd>/<region>/<service>/aws4_request';
  }
  const sorted = signedHeaders.every(
    (name, i) => name === name.toLowerCase() && (i === 0 || (signedHeaders[i - 1] ?? '') < name),
  );
  if (!sorted) return 'SignedHeaders must be in lower case, sorted, each once';
  return { accessKeyId, date, region, service, signedHeaders, signature: shownSignature };
}

function parseAmzDate(text: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second] = match;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}

function refuse(code: SigV4Refusal, message: string): { outcome: 'refused'; code: SigV4Refusal; message: string } {
  return { outcome: 'refused', code, message };
}
