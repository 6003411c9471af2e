/**
 * Documents of JSON in which places stand under `files`. There are as many of them as files, so they are written and
 * read piece by piece as the bytes pass, and are neither one text nor arrays of numbers at any time.
 */
import { AppError } from '../../errors/index.js';
import type { Digest } from '../../oci/index.js';
import type { ByteSource } from '../../store/index.js';
import { type ContextPlaces, Places } from './context-places.js';

const FORMAT = 'wharf.places.v1';

const FILES = '"files":[';
const PLACES_AT_ONCE = 4000;

export function encodePlaces({ packs, files }: ContextPlaces): ByteSource {
  const rest = { format: FORMAT, packs: packs.map(({ digest, sizeBytes }) => [digest, sizeBytes]) };
  return encodeWithPlaces(rest, files);
}

/** @throws AppError CONTEXT_BROKEN */
export async function decodePlaces(source: ByteSource): Promise<ContextPlaces> {
  const { rest, files } = await decodeWithPlaces(source);
  const { format, packs } = rest as {
    readonly format?: string;
    readonly packs: readonly (readonly [Digest, number])[];
  };
  if (format !== FORMAT) throw new AppError('CONTEXT_BROKEN', `it is not ${FORMAT}`, { kind: 'internal' });
  return { packs: packs.map(([digest, sizeBytes]) => ({ digest, sizeBytes })), files };
}

/** @param rest what else is in the document */
export async function* encodeWithPlaces(rest: Readonly<Record<string, unknown>>, files: Places): ByteSource {
  const begin = JSON.stringify(rest).slice(0, -1);
  yield Buffer.from(`${begin}${begin === '{' ? '' : ','}${FILES}`);
  for (let from = 0; from < files.length; from += PLACES_AT_ONCE) {
    let text = '';
    for (let file = from; file < Math.min(from + PLACES_AT_ONCE, files.length); file += 1) {
      const [pack, offset] = files.at(file);
      text += `${file === 0 ? '' : ','}[${pack},${offset}]`;
    }
    yield Buffer.from(text);
  }
  yield Buffer.from(']}');
}

/** @returns the document, with nothing under `files`, and the places */
export async function decodeWithPlaces(
  source: ByteSource,
): Promise<{ readonly rest: unknown; readonly files: Places }> {
  const files = new Places();
  const scan = new PlacesScan(files);
  /** What stands before the places and after them. */
  let before = Buffer.alloc(0);
  const after: Uint8Array[] = [];
  let begun = false;
  for await (const chunk of source) {
    if (begun) {
      after.push(scan.take(chunk));
      continue;
    }
    before = Buffer.concat([before, chunk]);
    const at = before.indexOf(FILES);
    if (at < 0) continue;
    begun = true;
    after.push(scan.take(before.subarray(at + FILES.length)));
    before = before.subarray(0, at + FILES.length);
  }
  return { rest: JSON.parse(Buffer.concat([before, ...after]).toString('utf8')), files };
}

const OPEN = 0x5b;
const CLOSE = 0x5d;
const COMMA = 0x2c;
const ZERO = 0x30;

/** Reads `[0,0],[0,17]]` as it passes. */
class PlacesScan {
  private isInPlace = false;
  private isOver = false;
  private pack = 0;
  private number = 0;

  constructor(private readonly files: Places) {}

  /** @returns what comes after the places, from the bracket on that ends them */
  take(bytes: Uint8Array): Uint8Array {
    for (let at = 0; at < bytes.length && !this.isOver; at += 1) {
      const byte = bytes[at] ?? 0;
      if (byte >= ZERO && byte < ZERO + 10) this.number = this.number * 10 + byte - ZERO;
      else if (byte === COMMA && this.isInPlace) this.endNumber();
      else if (byte === OPEN) this.isInPlace = true;
      else if (byte === CLOSE && this.isInPlace) this.endPlace();
      else if (byte === CLOSE) {
        this.isOver = true;
        return bytes.subarray(at);
      }
    }
    return this.isOver ? bytes : NOTHING;
  }

  private endNumber(): void {
    this.pack = this.number;
    this.number = 0;
  }

  private endPlace(): void {
    this.files.push([this.pack, this.number]);
    this.number = 0;
    this.isInPlace = false;
  }
}

const NOTHING = new Uint8Array(0);
