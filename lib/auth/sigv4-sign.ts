/** Signs a request by AWS Signature Version 4, from the same canonical form that `verifySigV4` checks. */
import { canonicalRequest, sha256Hex, signature, type SignedRequest, stringToSign } from './sigv4-canonical.js';

export interface SigningCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/**
 * The headers to send the request with, those it has among them.
 * @param request its headers are all signed; `host` must be one
 */
export function signSigV4(
  request: SignedRequest,
  credentials: SigningCredentials,
  scope: { readonly region: string; readonly service: string; readonly nowMs: number },
): Readonly<Record<string, string>> {
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  const amzDate = new Date(scope.nowMs).toISOString().replaceAll(/[-:]|\.\d{3}/g, '');
  const date = amzDate.slice(0, 8);
  const headers: Readonly<Record<string, string | undefined>> = {
    ...request.headers,
    'x-amz-date': amzDate,
    'x-amz-content-sha256': sha256Hex(request.body),
    ...(sessionToken === undefined ? {} : { 'x-amz-security-token': sessionToken }),
  };
  const names = Object.keys(headers).sort();
  const path = `${date}/${scope.region}/${scope.service}/aws4_request`;
  const toSign = stringToSign(amzDate, path, canonicalRequest({ ...request, headers }, names));
  const signed = signature(secretAccessKey, [date, scope.region, scope.service], toSign);
  const authorization = [
    `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${path}`,
    `SignedHeaders=${names.join(';')}`,
    `Signature=${signed}`,
  ].join(', ');
  return { ...Object.fromEntries(names.map((name) => [name, headers[name] ?? ''])), authorization };
}
