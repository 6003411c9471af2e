/**
 * Parser directives, `# name=value` at the head of the file: `escape`, `syntax`, `check`. Each at most once; the first
 * line that is no directive ends them.
 */
import { refusal } from '../errors.js';
import { isSpace, trimLeft } from './white-space.js';

export interface Directive {
  readonly name: 'escape' | 'syntax' | 'check';
  readonly value: string;
}

const NAME_AND_VALUE = /^([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=([^\n]+)$/;

export class DirectiveReader {
  private readonly seen = new Set<string>();
  private done = false;

  /** @param marker what a comment starts with */
  constructor(private readonly marker: string = '#') {}

  /** The directive of a line, if directives are still allowed and it is one. @throws AppError DOCKERFILE_DIRECTIVE */
  read(line: string): Directive | undefined {
    if (this.done) return undefined;
    const directive = line.startsWith(this.marker) ? parse(trimLeft(line.slice(this.marker.length))) : undefined;
    if (directive === undefined) {
      this.done = true;
      return undefined;
    }
    if (this.seen.has(directive.name)) {
      throw refusal('DOCKERFILE_DIRECTIVE', `only one ${directive.name} parser directive can be used`, {
        hint: 'remove one of them',
        word: line,
      });
    }
    this.seen.add(directive.name);
    return directive;
  }

  get ended(): boolean {
    return this.done;
  }
}

function parse(text: string): Directive | undefined {
  const match = NAME_AND_VALUE.exec(text);
  const name = match?.[1]?.toLowerCase();
  if (name !== 'escape' && name !== 'syntax' && name !== 'check') return undefined;
  const rest = match?.[2] ?? '';
  const value = trimAscii(rest);
  // Nothing but blanks still counts as a value, the last blank.
  return { name, value: value === '' ? rest.slice(-1) : value };
}

function trimAscii(text: string): string {
  let start = 0;
  let end = text.length;
  const blank = (at: number): boolean =>
    text[at] !== '\v' && text.charCodeAt(at) <= 0x20 && isSpace(text.charCodeAt(at));
  while (start < end && blank(start)) start++;
  while (end > start && blank(end - 1)) end--;
  return text.slice(start, end);
}

/** A directive's whole value, found the way docker's client looks before parsing: after `#!`, and for `syntax` in `//` comments and JSON too. */
export function findDirective(text: string, name: 'syntax' | 'check'): string | undefined {
  const unmarked = text.startsWith('\ufeff') ? text.slice(1) : text;
  const lineFeed = unmarked.indexOf('\n');
  const body = !unmarked.startsWith('#!') ? unmarked : lineFeed < 0 ? '' : unmarked.slice(lineFeed + 1);
  const found = scan(body, name, '#');
  if (found !== undefined || name === 'check') return found;
  return scan(body, name, '//') ?? fromJson(body, name);
}

function scan(body: string, name: string, marker: string): string | undefined {
  const reader = new DirectiveReader(marker);
  let at = 0;
  while (at < body.length && !reader.ended) {
    const lineFeed = body.indexOf('\n', at);
    const line = body.slice(at, lineFeed < 0 ? body.length : lineFeed).replace(/\r$/, '');
    at = lineFeed < 0 ? body.length : lineFeed + 1;
    try {
      const directive = reader.read(line);
      if (directive?.name === name) return directive.value;
    } catch {
      // A repeated directive: the parser will say so.
      return undefined;
    }
  }
  return undefined;
}

function fromJson(body: string, name: string): string | undefined {
  if (!trimLeft(body).startsWith('{')) return undefined;
  try {
    const value = (JSON.parse(body) as Record<string, unknown>)[name];
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}
