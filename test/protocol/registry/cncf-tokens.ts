/**
 * A token service for the registry of the CNCF (distribution, docs/spec/auth/token.md): one user, tokens signed with a
 * certificate that the registry trusts. Like those of some vendors it refuses a request as a whole when one scope of
 * it may not be granted.
 */
import { execFile } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { importPKCS8, SignJWT } from 'jose';
import { parseScopes } from '../../../lib/auth/index.js';
import type { CncfUser } from './cncf-registry.js';

export interface CncfTokens {
  /** The registry's `auth` section. */
  readonly config: string;
  /** Repositories of which nobody gets a token that reads them. */
  readonly refused: Set<string>;
  /** The scopes of every request, in order. */
  readonly asked: string[];
  close(): Promise<void>;
}

const SERVICE = 'cncf';
const ISSUER = 'wharf-tests';

/** @param folder where its key and certificate are made */
export async function startCncfTokens(folder: string, user: CncfUser): Promise<CncfTokens> {
  const [key, certificate] = [join(folder, 'token-key.pem'), join(folder, 'token-certificate.pem')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const files = ['-keyout', key, '-out', certificate];
  await promisify(execFile)('openssl', ['req', '-x509', '-days', '2', '-subj', '/CN=tokens', ...curve, ...files]);
  const signingKey = await importPKCS8(await readFile(key, 'utf8'), 'ES256');
  const x5c = [(await readFile(certificate, 'utf8')).replaceAll(/-----.*-----|\n/g, '')];
  const basic = `Basic ${Buffer.from(`${user.username}:${user.password}`).toString('base64')}`;
  const refused = new Set<string>();
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? '/', 'http://here');
    const scopes = searchParams.getAll('scope');
    asked.push(scopes.join(' '));
    const access = parseScopes(scopes);
    if (request.headers.authorization !== basic || access.some(({ name }) => refused.has(name))) {
      response.writeHead(401, { 'content-type': 'application/json' });
      response.end('{"errors":[{"code":"UNAUTHORIZED","message":"not with these rights"}]}');
      return;
    }
    void new SignJWT({ access })
      .setProtectedHeader({ alg: 'ES256', typ: 'JWT', x5c })
      .setIssuer(ISSUER)
      .setSubject(user.username)
      .setAudience(SERVICE)
      .setJti(String(asked.length))
      .setIssuedAt()
      .setNotBefore('-1m')
      .setExpirationTime('5m')
      .sign(signingKey)
      .then((token) => response.end(JSON.stringify({ token, expires_in: 300 })));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const realm = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
  return {
    config: `auth: {token: {realm: "${realm}", service: ${SERVICE}, issuer: ${ISSUER}, rootcertbundle: ${certificate}}}\n`,
    refused,
    asked,
    close: () => closed(server),
  };
}

async function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}
