/**
 * Patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `*` any text, `?` any character, neither across a line end, `\` makes
 * `*`, `?` and `\` plain. Matched without backtracking, so that no pattern in a Dockerfile can stall a build.
 */
import { refusal } from '../errors.js';

type Token = { readonly kind: 'text'; readonly text: string } | { readonly kind: 'any' };
/** The pattern between two stars. */
type Segment = readonly Token[];

const ESCAPABLE = '*?\\';

/** Characters a replacement may write in all, so that a short line cannot ask for gigabytes. */
const MAX_REPLACED = 1 << 20;
/** Comparisons one pattern may take. */
const MAX_STEPS = 10_000_000;

export class ShellPattern {
  private steps = 0;

  private constructor(private readonly segments: readonly Segment[]) {}

  /** @throws AppError DOCKERFILE_PATTERN_INVALID */
  static parse(pattern: string): ShellPattern {
    const segments: Token[][] = [[]];
    const chars = Array.from(pattern);
    for (let i = 0; i < chars.length; i++) {
      const char = chars[i] ?? '';
      const last = segments.at(-1) ?? [];
      if (char === '*') segments.push([]);
      else if (char === '?') last.push({ kind: 'any' });
      else if (char !== '\\') last.push({ kind: 'text', text: char });
      else {
        const next = chars[i + 1];
        // `}` and `/` are escaped for the sake of ${}, not of the pattern.
        if (next === '}' || next === '/') continue;
        if (next === undefined || !ESCAPABLE.includes(next)) {
          throw refusal('DOCKERFILE_PATTERN_INVALID', `pattern "${pattern}" has the unknown escape "\\${next ?? ''}"`, {
            hint: 'in a pattern, \\ stands before *, ? or \\',
            word: pattern,
          });
        }
        last.push({ kind: 'text', text: next });
        i++;
      }
    }
    return new ShellPattern(segments);
  }

  /** The value without the shortest (or longest) matching prefix. */
  trimPrefix(value: string, longest: boolean): string {
    const end = this.matchAt(value, 0, longest);
    return end < 0 ? value : value.slice(end);
  }

  /** The value without the shortest (or longest) matching suffix. */
  trimSuffix(value: string, longest: boolean): string {
    const mirrored = new ShellPattern(this.segments.map((segment) => [...segment].reverse()).reverse());
    return reverse(mirrored.trimPrefix(reverse(value), longest));
  }

  replaceFirst(value: string, replacement: string): string {
    const found = this.find(value, 0);
    return found === undefined ? value : value.slice(0, found.start) + replacement + value.slice(found.end);
  }

  /** Every match, left to right, longest first; in the replacement `$0` or `${0}` is the match and `$$` a dollar. */
  replaceAll(value: string, replacement: string): string {
    const parts: string[] = [];
    let size = 0;
    let written = 0;
    let from = 0;
    while (from <= value.length) {
      const found = this.find(value, from);
      if (found === undefined) break;
      const { start, end } = found;
      // An empty match right behind the one before does not count.
      if (end > start || start > written || parts.length === 0) {
        const text = template(replacement, value.slice(start, end));
        parts.push(value.slice(written, start), text);
        size += text.length;
        if (size > MAX_REPLACED) {
          throw refusal(
            'DOCKERFILE_EXPANSION_TOO_LARGE',
            `the replacement writes more than ${MAX_REPLACED} characters`,
            { hint: 'a RUN with sed, for long texts' },
          );
        }
        written = end;
      }
      from = end > start ? end : end + widthAt(value, end);
    }
    parts.push(value.slice(written));
    return parts.join('');
  }

  /** The leftmost match from `from` on, at its longest. */
  private find(value: string, from: number): { start: number; end: number } | undefined {
    const first = this.segments[0] ?? [];
    let start = from;
    while (start <= value.length) {
      start = this.findSegment(first, value, start, value.length);
      if (start < 0) return undefined;
      const end = this.matchAt(value, start, true);
      if (end >= 0) return { start, end };
      // What a star could not reach on this line, it cannot reach from further right either.
      const lineEnd = this.segments.length > 1 && !this.hasLineFeed ? value.indexOf('\n', start) : start;
      if (lineEnd < 0) return undefined;
      start = lineEnd + 1;
    }
    return undefined;
  }

  private get hasLineFeed(): boolean {
    return this.segments.some((segment) => segment.some((token) => token.kind === 'text' && token.text === '\n'));
  }

  /** Where the match at `start` ends, or -1. */
  private matchAt(value: string, start: number, longest: boolean): number {
    let at = this.matchSegment(this.segments[0] ?? [], value, start);
    for (let i = 1; i < this.segments.length && at >= 0; i++) {
      const segment = this.segments[i] ?? [];
      const lineFeed = value.indexOf('\n', at);
      const reach = lineFeed < 0 ? value.length : lineFeed;
      const isLast = i === this.segments.length - 1;
      if (segment.length === 0) {
        if (isLast && longest) at = reach;
        continue;
      }
      const found =
        isLast && longest ? this.findLast(segment, value, at, reach) : this.findSegment(segment, value, at, reach);
      at = found < 0 ? -1 : this.matchSegment(segment, value, found);
    }
    return at;
  }

  private matchSegment(segment: Segment, value: string, start: number): number {
    let at = start;
    for (const token of segment) {
      this.spend();
      if (token.kind === 'text') {
        if (!value.startsWith(token.text, at)) return -1;
        at += token.text.length;
      } else {
        if (at >= value.length || value[at] === '\n') return -1;
        at += widthAt(value, at);
      }
    }
    return at;
  }

  private findSegment(segment: Segment, value: string, from: number, reach: number): number {
    for (let at = from; at <= reach; at += widthAt(value, at)) {
      if (this.matchSegment(segment, value, at) >= 0) return at;
    }
    return -1;
  }

  private findLast(segment: Segment, value: string, from: number, reach: number): number {
    for (let at = reach; at >= from; at--) {
      if (!isLowSurrogate(value, at) && this.matchSegment(segment, value, at) >= 0) return at;
    }
    return -1;
  }

  private spend(): void {
    if (++this.steps > MAX_STEPS) {
      throw refusal('DOCKERFILE_EXPANSION_TOO_LARGE', 'a pattern takes too many comparisons on this value', {
        hint: 'do long text work in a RUN step',
      });
    }
  }
}

function isLowSurrogate(value: string, at: number): boolean {
  return at > 0 && (value.charCodeAt(at) & 0xfc00) === 0xdc00 && (value.charCodeAt(at - 1) & 0xfc00) === 0xd800;
}

function widthAt(value: string, at: number): number {
  return isLowSurrogate(value, at + 1) ? 2 : 1;
}

function reverse(text: string): string {
  return Array.from(text).reverse().join('');
}

/** Go's regexp.Expand with one group, the whole match: docker's `//` operator goes through it. */
function template(replacement: string, match: string): string {
  if (!replacement.includes('$')) return replacement;
  return replacement.replace(
    /\$(?:(\$)|([\p{L}\p{Nd}_]+)|\{([\p{L}\p{Nd}_]+)\})/gu,
    (_whole, dollar?: string, bare?: string, braced?: string) => {
      if (dollar !== undefined) return '$';
      return /^0+$/.test(bare ?? braced ?? '') ? match : '';
    },
  );
}
