/**
 * Takes known secrets out of text on its way to a log, an error or a record. Output comes in pieces, and a secret may
 * be cut in two: the end of a piece that could be the beginning of a secret waits for the next one.
 */
import { AppError } from '../errors/index.js';
import type { BuildSecretValues } from './build-secrets.js';

const MASK = '***';
/** A shorter value stands in too many words to be told from them. */
const MIN_VALUE = 3;
/** Lines of a key file are secrets too, unless they are short. */
const MIN_LINE = 8;

export class Redaction {
  /** Longest first: a secret may hold another one. */
  private readonly words: readonly string[];

  constructor(secrets: BuildSecretValues) {
    const words = new Set<string>();
    for (const value of secrets.values()) {
      const text = Buffer.from(value).toString('utf8');
      const whole = text.trim();
      if (whole.length < MIN_VALUE) continue;
      words.add(whole);
      words.add(Buffer.from(value).toString('base64'));
      words.add(Buffer.from(whole).toString('base64'));
      words.add(encodeURIComponent(whole));
      words.add(JSON.stringify(whole).slice(1, -1));
      for (const line of whole.split(/\r?\n/)) if (line.trim().length >= MIN_LINE) words.add(line.trim());
    }
    this.words = [...words].sort((a, b) => b.length - a.length);
  }

  get isEmpty(): boolean {
    return this.words.length === 0;
  }

  text(text: string): string {
    let clean = text;
    for (const word of this.words) clean = clean.replaceAll(word, MASK);
    return clean;
  }

  /** For one stream of text. */
  stream(): RedactedStream {
    return new RedactedStream(this);
  }

  /** The same value with every string in it cleaned. */
  value<T>(value: T): T {
    return this.isEmpty ? value : (this.cleaned(value) as T);
  }

  error(error: unknown): unknown {
    if (this.isEmpty || !(error instanceof Error)) return error;
    const known = error instanceof AppError;
    const message = this.text(error.message);
    const details = known ? this.value(error.details) : {};
    const hint = known && error.hint !== undefined ? this.text(error.hint) : undefined;
    const same = message === error.message && (!known || JSON.stringify(details) === JSON.stringify(error.details));
    if (same && (!known || hint === error.hint)) return error;
    return new AppError(known ? error.code : 'INTERNAL', message, {
      kind: known ? error.kind : 'internal',
      details,
      ...(hint === undefined ? {} : { hint }),
      ...(known ? { retryable: error.retryable } : {}),
    });
  }

  /** Up to where the text can be said before more of it is known: no secret is cut in two there. */
  safeCut(text: string): number {
    let cut = text.length - this.pending(text);
    for (let moved = true; moved;) {
      moved = false;
      for (const word of this.words) {
        const start = text.lastIndexOf(word, cut - 1);
        if (start < 0 || start >= cut || start + word.length <= cut) continue;
        cut = start;
        moved = true;
      }
    }
    return cut;
  }

  /** How many characters at the end may be the beginning of a secret. */
  private pending(text: string): number {
    let longest = 0;
    for (const word of this.words) {
      for (let length = Math.min(word.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(word.slice(0, length))) longest = length;
      }
    }
    return longest;
  }

  private cleaned(value: unknown): unknown {
    if (typeof value === 'string') return this.text(value);
    if (Array.isArray(value)) return value.map((each) => this.cleaned(each));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, this.cleaned(member)]));
  }
}

class RedactedStream {
  private held = '';

  constructor(private readonly redaction: Redaction) {}

  /** What can be said by now. */
  write(text: string): string {
    if (this.redaction.isEmpty) return text;
    const all = this.held + text;
    const cut = this.redaction.safeCut(all);
    this.held = all.slice(cut);
    return this.redaction.text(all.slice(0, cut));
  }

  end(): string {
    const { held } = this;
    this.held = '';
    return this.redaction.text(held);
  }
}

export type { RedactedStream };
