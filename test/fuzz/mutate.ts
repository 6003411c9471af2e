/** Inputs made from others: cut, repeated, joined, with bytes that matter put in. */
import type { Random } from './random.js';

const TEXTS = [
  ...'FROM|RUN|COPY|ADD|ENV|ARG|LABEL|CMD|ENTRYPOINT|SHELL|EXPOSE|VOLUME|USER|WORKDIR|HEALTHCHECK|ONBUILD'.split('|'),
  ...'STOPSIGNAL|MAINTAINER|AS x|scratch|--mount=type=bind,from=x|--mount=type=ssh|--chmod=u+X|--link=|<<EOF'.split(
    '|',
  ),
  ...'\nEOF\n|<<-"E\'F"|# escape=`\n|# check=skip=all\n|# syntax=x\n|["a",|]|{"a":1}|"|\'|\\|\\\n|`\n'.split('|'),
  ...'${a:-${b:+${c}}}|${a##*}|${a//x/y}|${a?|$|${|}|**/|[!a-|[^]]|!|../|/./|*?*?*?*?*|%{1}'.split('|'),
  ...['\0', '\ufeff', '\r', '\u2028', '\ud800', '\t', ' ', '1'.repeat(40), 'x'.repeat(3000), '\n'.repeat(300)],
  '${a:-'.repeat(200),
  '('.repeat(500),
  '*'.repeat(400),
  'ONBUILD '.repeat(100),
];

export function mutateText(random: Random, corpus: readonly string[]): string {
  let text = random.pick(corpus);
  for (let changes = 1 + random.count(8); changes > 0; changes -= 1) {
    const at = random.below(text.length + 1);
    const end = Math.min(text.length, at + random.count(40));
    switch (random.below(6)) {
      case 0:
        text = text.slice(0, at) + text.slice(end);
        break;
      case 1:
        text = text.slice(0, end) + text.slice(at, end) + text.slice(end);
        break;
      case 2:
        text = text.slice(0, at) + random.pick(corpus).slice(random.below(60));
        break;
      case 3:
        text = text.slice(0, at) + String.fromCharCode(random.below(0x250)) + text.slice(end);
        break;
      default:
        text = text.slice(0, at) + random.pick(TEXTS) + text.slice(end);
    }
  }
  return text.slice(0, 20_000);
}

const NUMBERS = [0, 1, 0x7f, 0x80, 0xff, 0x20, 0x2f, 0x2e, 0x30, 0x37, 0x78, 0x67, 0x4b];
const FIELDS = [
  '7777777',
  '-1',
  '99999999999',
  '../../x',
  '/x',
  'a/../b',
  '.wh..wh..opq',
  '.wh.a',
  '\0',
  '33 path=x\n',
];

export function mutateBytes(random: Random, corpus: readonly Buffer[]): Buffer {
  let bytes = Buffer.from(random.pick(corpus));
  for (let changes = 1 + random.count(10); changes > 0; changes -= 1) {
    const at = random.below(bytes.length + 1);
    const block = at - (at % 512);
    switch (random.below(6)) {
      case 0:
        bytes = bytes.subarray(0, at);
        break;
      case 1:
        bytes = Buffer.concat([bytes.subarray(0, block), bytes.subarray(Math.max(0, block - 512))]);
        break;
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, block), bytes.subarray(block + 512)]);
        break;
      case 3:
        bytes.write(random.pick(FIELDS), Math.min(at, Math.max(0, bytes.length - 1)), 'latin1');
        break;
      default:
        if (at < bytes.length) bytes[at] = random.chance(0.5) ? random.pick(NUMBERS) : random.below(256);
    }
    if (random.chance(0.8)) repairChecksum(bytes, block);
  }
  return bytes.subarray(0, 64 * 1024);
}

/** Without it nearly every change of a header would end at the checksum. */
function repairChecksum(bytes: Buffer, block: number): void {
  if (block + 512 > bytes.length) return;
  bytes.fill(' ', block + 148, block + 156);
  const sum = bytes.subarray(block, block + 512).reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, block + 148, 'latin1');
}
