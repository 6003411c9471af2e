/** The ports of EXPOSE: `80`, `53/udp`, `8000-8010/tcp`; docker also reads `ip:host:container` and warns. */
import { isIP } from 'node:net';
import { refusal } from '../errors.js';

export interface ExposedPorts {
  /** `80/tcp`, one per port, as image configs have them; listed when asked for, as a range may be long. */
  readonly ports: readonly string[];
  /** As written, or `tcp`. */
  readonly protocol: string;
  /** It names an address or a host port, which EXPOSE cannot publish. */
  readonly hasHostPart: boolean;
}

interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** One expanded word of EXPOSE. @throws AppError DOCKERFILE_PORT */
export function parseExposePort(text: string): ExposedPorts {
  const refuse = (what: string): Error =>
    refusal('DOCKERFILE_PORT', `port "${text}": ${what}`, {
      hint: '<port>[/tcp|udp|sctp] or <first>-<last>[/protocol], from 0 to 65535',
      word: text,
    });
  const parts = text.split(':');
  const container = parts.pop() ?? '';
  const host = parts.pop() ?? '';
  const address = parts.join(':');
  const slash = container.indexOf('/');
  const portText = slash < 0 ? container : container.slice(0, slash);
  const written = slash < 0 ? '' : container.slice(slash + 1);
  if (portText === '') throw refuse('there is no port');
  if (!/^(tcp|udp|sctp|)$/i.test(written)) throw refuse(`protocol "${written}" is not known`);
  const protocol = written === '' ? 'tcp' : written;
  if (address !== '' && !isAddress(address)) throw refuse(`"${address}" is no IP address`);
  const range = parseRange(portText);
  if (range === undefined) throw refuse(`"${portText}" is no port or range`);
  if (host !== '') {
    const hostRange = parseRange(host);
    if (hostRange === undefined) throw refuse(`"${host}" is no port or range`);
    if (range.last > range.first && range.last - range.first !== hostRange.last - hostRange.first) {
      throw refuse('the ranges differ in size');
    }
  }
  return {
    protocol,
    hasHostPart: address !== '' || host !== '',
    get ports() {
      const size = range.last - range.first + 1;
      return Array.from({ length: size }, (_, i) => `${range.first + i}/${protocol.toLowerCase()}`);
    },
  };
}

function isAddress(address: string): boolean {
  const bare = address.startsWith('[') && address.endsWith(']') ? address.slice(1, -1) : address;
  return isIP(bare) !== 0 && !bare.includes('%');
}

function parseRange(text: string): PortRange | undefined {
  const dash = text.indexOf('-');
  const first = parsePort(dash < 0 ? text : text.slice(0, dash));
  const last = dash < 0 ? first : parsePort(text.slice(dash + 1));
  if (first === undefined || last === undefined || last < first) return undefined;
  return { first, last };
}

function parsePort(text: string): number | undefined {
  const port = /^\+?\d{1,20}$/.test(text) ? Number(text) : -1;
  return port >= 0 && port <= 65_535 ? port : undefined;
}
