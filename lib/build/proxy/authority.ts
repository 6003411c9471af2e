/**
 * The certificate authority of one RUN: its certificate is trusted in the sandbox while the command runs, and vouches for
 * every server that is asked for through the proxy (X.509, RFC 5280). Its key is in this process's memory only and
 * goes with the RUN, so that a certificate that was copied into a layer is worth nothing.
 */
import { generateKeyPair, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import { promisify } from 'node:util';
import type Forge from 'node-forge';

const HOUR_MS = 3600 * 1000;
/** Longer than any RUN; what is trusted for longer than its key lives does no harm. */
const LIFE_MS = 7 * 24 * HOUR_MS;
const ISSUER = [{ shortName: 'CN', value: 'wharf build proxy' }];
/** Hosts that one RUN asks for; the certificates of the first ones are forgotten beyond that. */
const MAX_SERVERS = 1000;

/** PEM. */
interface KeyPair {
  readonly publicKey: string;
  readonly privateKey: string;
}

interface Kept {
  /** Loaded when it is wanted: most builds have no proxy. */
  readonly forge: typeof Forge;
  readonly key: KeyPair;
  /** All servers have one: nobody but the proxy has it either way. */
  readonly serverKey: KeyPair;
  readonly nowMs: number;
}

export class Authority {
  /** PEM. */
  readonly certificate: string;
  private readonly servers = new Map<string, SecureContext>();

  static async create(nowMs: number): Promise<Authority> {
    const [{ default: forge }, key, serverKey] = await Promise.all([import('node-forge'), newKey(), newKey()]);
    return new Authority({ forge, key, serverKey, nowMs });
  }

  private constructor(private readonly kept: Kept) {
    this.certificate = this.issue(ISSUER, kept.key, [
      { name: 'basicConstraints', critical: true, cA: true },
      { name: 'keyUsage', critical: true, digitalSignature: true, keyCertSign: true },
    ]);
  }

  /** For a connection that asks for this host. */
  server(host: string): SecureContext {
    const known = this.servers.get(host);
    if (known !== undefined) return known;
    const [oldest] = this.servers.keys();
    if (this.servers.size >= MAX_SERVERS && oldest !== undefined) this.servers.delete(oldest);
    const context = createSecureContext(this.serverCertificate(host));
    this.servers.set(host, context);
    return context;
  }

  /** PEM, with the private key. */
  serverCertificate(host: string): { readonly cert: string; readonly key: string } {
    const { serverKey } = this.kept;
    const name = isIP(host) === 0 ? { type: 2, value: host } : { type: 7, ip: host };
    const cert = this.issue([], serverKey, [
      { name: 'keyUsage', critical: true, digitalSignature: true },
      { name: 'extKeyUsage', serverAuth: true },
      // Critical where there is no other name (RFC 5280 4.2.1.6).
      { name: 'subjectAltName', critical: true, altNames: [name] },
    ]);
    return { cert, key: serverKey.privateKey };
  }

  private issue(subject: Forge.pki.CertificateField[], key: KeyPair, extensions: readonly object[]): string {
    const { pki, md } = this.kept.forge;
    const issuerKey = pki.publicKeyFromPem(this.kept.key.publicKey);
    const made = pki.createCertificate();
    made.publicKey = pki.publicKeyFromPem(key.publicKey);
    // Positive, whatever was drawn.
    made.serialNumber = `01${randomBytes(15).toString('hex')}`;
    made.validity.notBefore = new Date(this.kept.nowMs - HOUR_MS);
    made.validity.notAfter = new Date(this.kept.nowMs + LIFE_MS);
    made.setSubject(subject);
    made.setIssuer(ISSUER);
    made.setExtensions([
      ...extensions,
      { name: 'subjectKeyIdentifier' },
      { name: 'authorityKeyIdentifier', keyIdentifier: pki.getPublicKeyFingerprint(issuerKey).getBytes() },
    ]);
    made.sign(pki.privateKeyFromPem(this.kept.key.privateKey), md.sha256.create());
    return pki.certificateToPem(made).replaceAll('\r', '');
  }
}

/** RSA: the library knows no other that servers have. */
function newKey(): Promise<KeyPair> {
  return promisify(generateKeyPair)('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
}
