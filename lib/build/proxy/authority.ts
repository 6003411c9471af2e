/**
 * The certificate authority of one RUN: its certificate is trusted in the sandbox while the command runs, and vouches for
 * every server that is asked for through the proxy (X.509, RFC 5280). Its key is in this process's memory only and
 * goes with the RUN, so that a certificate that was copied into a layer is worth nothing.
 */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import {
  bitString,
  type Der,
  explicit,
  implicit,
  integer,
  objectId,
  octetString,
  sequence,
  setOf,
  TRUE,
  utcTime,
  utf8String,
} from './der.js';

const HOUR_MS = 3600 * 1000;
/** Longer than any RUN; what is trusted for longer than its key lives does no harm. */
const LIFE_MS = 7 * 24 * HOUR_MS;
const NAME = 'wharf build proxy';
const ECDSA_SHA256 = sequence(objectId('1.2.840.10045.4.3.2'));
/** Hosts that one RUN asks for; the certificates of the first ones are forgotten beyond that. */
const MAX_SERVERS = 1000;

interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export class Authority {
  /** PEM. */
  readonly certificate: string;
  private readonly key = newKey();
  /** All servers have one key: nobody but the proxy has it either way. */
  private readonly serverKey = newKey();
  private readonly servers = new Map<string, SecureContext>();

  constructor(private readonly nowMs: number) {
    this.certificate = this.issue(NAME, this.key, [
      extension('2.5.29.19', sequence(TRUE), true),
      // digitalSignature and keyCertSign
      extension('2.5.29.15', bitString(Buffer.from([0x84]), 2), true),
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
    const address = addressBytes(host);
    const name = address === undefined ? implicit(2, Buffer.from(host)) : implicit(7, address);
    const cert = this.issue('', this.serverKey, [
      extension('2.5.29.15', bitString(Buffer.from([0x80]), 7), true),
      // serverAuth
      extension('2.5.29.37', sequence(objectId('1.3.6.1.5.5.7.3.1'))),
      // Critical where there is no other name (RFC 5280 4.2.1.6).
      extension('2.5.29.17', sequence(name), true),
    ]);
    return { cert, key: this.serverKey.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
  }

  private issue(subject: string, { publicKey }: KeyPair, extensions: readonly Der[]): string {
    const signed = sequence(
      explicit(0, integer(Buffer.from([2]))),
      integer(randomBytes(16)),
      ECDSA_SHA256,
      nameOf(NAME),
      sequence(utcTime(this.nowMs - HOUR_MS), utcTime(this.nowMs + LIFE_MS)),
      nameOf(subject),
      spki(publicKey),
      explicit(
        3,
        sequence(
          ...extensions,
          extension('2.5.29.14', octetString(keyId(publicKey))),
          extension('2.5.29.35', sequence(implicit(0, keyId(this.key.publicKey)))),
        ),
      ),
    );
    const signature = sign('sha256', signed, this.key.privateKey);
    return pem(sequence(signed, ECDSA_SHA256, bitString(signature)));
  }
}

function newKey(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

function spki(key: KeyObject): Der {
  return key.export({ type: 'spki', format: 'der' });
}

function keyId(key: KeyObject): Buffer {
  return createHash('sha1').update(spki(key)).digest();
}

function nameOf(name: string): Der {
  return name === '' ? sequence() : sequence(setOf(sequence(objectId('2.5.4.3'), utf8String(name))));
}

function extension(id: string, value: Der, critical = false): Der {
  return sequence(objectId(id), ...(critical ? [TRUE] : []), octetString(value));
}

function pem(der: Der): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

/** undefined for a name. */
function addressBytes(host: string): Buffer | undefined {
  const family = isIP(host);
  if (family === 0) return undefined;
  if (family === 4) return Buffer.from(host.split('.').map(Number));
  return ipv6Bytes(host);
}

function ipv6Bytes(address: string): Buffer {
  // URL writes the shortest hexadecimal form, whatever was given.
  const [head = '', tail] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((each) => Number.parseInt(each, 16));
  const [before, after] = [groups(head), groups(tail ?? '')];
  const middle = Array.from({ length: 8 - before.length - after.length }, () => 0);
  const bytes = Buffer.alloc(16);
  for (const [i, group] of [...before, ...middle, ...after].entries()) bytes.writeUInt16BE(group, i * 2);
  return bytes;
}
