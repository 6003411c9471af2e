/**
 * Patterns of file names: Go's filepath.Match for COPY sources, and with `**` moby's patternmatcher for ignore files,
 * `--exclude` and `--parents`. Compiled once, matched by stepping through all possibilities at once: no pattern can
 * make it slow.
 */
import { refusal } from '../errors.js';

type Token =
  | { readonly kind: 'char'; readonly char: string }
  /** `?`: any character but `/`. */
  | { readonly kind: 'any' }
  | { readonly kind: 'class'; readonly negated: boolean; readonly ranges: readonly (readonly [number, number])[] }
  /** `*`: anything without `/`. */
  | { readonly kind: 'star' }
  /** Two stars and a slash, in front or in between: any folders, or none. */
  | { readonly kind: 'folders' }
  /** `**` at the end: anything. */
  | { readonly kind: 'rest' };

export interface GlobOptions {
  /** `**` crosses folders; without it `**` is `*`. */
  readonly doubleStar?: boolean;
}

export class Glob {
  private constructor(
    readonly pattern: string,
    private readonly tokens: readonly Token[],
    /** What every match starts and ends with: most names are turned away by these. */
    private readonly head: string,
    private readonly tail: string,
  ) {}

  /** @throws AppError DOCKERFILE_PATTERN_INVALID */
  static compile(pattern: string, options: GlobOptions = {}): Glob {
    const tokens = tokenise(pattern, options.doubleStar ?? false);
    const firstOpen = tokens.findIndex((token) => token.kind !== 'char');
    const lastOpen = tokens.findLastIndex((token) => token.kind !== 'char');
    const head = textOf(firstOpen < 0 ? tokens : tokens.slice(0, firstOpen));
    return new Glob(pattern, tokens, head, textOf(tokens.slice(lastOpen + 1)));
  }

  matches(path: string): boolean {
    if (!path.startsWith(this.head) || !path.endsWith(this.tail)) return false;
    if (this.head.length === path.length && this.tokens.every((token) => token.kind === 'char')) return true;
    return this.simulate(Array.from(path));
  }

  /** Whether a path below `folder` could match. */
  mayMatchBelow(folder: string): boolean {
    return this.simulate(Array.from(`${folder}/`), true);
  }

  /** Keeps every place in the pattern that the characters so far can lead to. */
  private simulate(chars: readonly string[], prefixIsEnough = false): boolean {
    const { tokens } = this;
    let places = new Uint8Array(tokens.length + 1);
    this.enter(places, 0);
    for (const char of chars) {
      const next = new Uint8Array(tokens.length + 1);
      let isAlive = false;
      for (const [place, token] of tokens.entries()) {
        if (places[place] === 0) continue;
        const step = STEPS[token.kind](char, token);
        isAlive ||= step !== 'no';
        if (step === 'next' || step === 'stay or next') this.enter(next, place + 1);
        if (step === 'repeat') this.enter(next, place);
        // Inside folders, only a slash leads out.
        if (step === 'stay' || step === 'stay or next') next[place] = 1;
      }
      if (!isAlive) return false;
      places = next;
    }
    return prefixIsEnough || places[tokens.length] === 1;
  }

  /** Marks a place, and those behind tokens that may match nothing. */
  private enter(places: Uint8Array, from: number): void {
    for (let place = from; ; place++) {
      places[place] = 1;
      const kind = this.tokens[place]?.kind;
      if (kind !== 'star' && kind !== 'folders' && kind !== 'rest') return;
    }
  }
}

type Step = 'no' | 'next' | 'stay' | 'stay or next' | 'repeat';

/** Where a character leads from a token. */
const STEPS: Readonly<Record<Token['kind'], (char: string, token: Token) => Step>> = {
  char: (char, token) => (token.kind === 'char' && token.char === char ? 'next' : 'no'),
  any: (char) => (char === '/' ? 'no' : 'next'),
  class: (char, token) => (token.kind === 'class' && inClass(char, token) ? 'next' : 'no'),
  star: (char) => (char === '/' ? 'no' : 'repeat'),
  folders: (char) => (char === '/' ? 'stay or next' : 'stay'),
  rest: () => 'repeat',
};

function inClass(char: string, token: Token & { kind: 'class' }): boolean {
  const code = char.codePointAt(0) ?? 0;
  return token.ranges.some(([low, high]) => low <= code && code <= high) !== token.negated;
}

function tokenise(pattern: string, doubleStar: boolean): Token[] {
  const bad = (what: string): Error =>
    refusal('DOCKERFILE_PATTERN_INVALID', `file pattern "${pattern}" ${what}`, {
      hint: '* and ? for characters, [a-z] or [^a-z] for a class, \\ before a character to take it as it is',
      word: pattern,
    });
  const chars = Array.from(pattern);
  const tokens: Token[] = [];
  let at = 0;
  const literal = (): string => {
    if (chars[at] === '\\') at++;
    const char = chars[at];
    if (char === undefined) throw bad('ends in the middle');
    at++;
    return char;
  };
  while (at < chars.length) {
    const char = chars[at];
    if (char === '*') {
      at++;
      if (!doubleStar || chars[at] !== '*') {
        tokens.push({ kind: 'star' });
        continue;
      }
      at++;
      if (chars[at] === '/') at++;
      tokens.push({ kind: at === chars.length ? 'rest' : 'folders' });
    } else if (char === '?') {
      at++;
      tokens.push({ kind: 'any' });
    } else if (char === '[') {
      at++;
      const negated = chars[at] === '^';
      if (negated) at++;
      const ranges: [number, number][] = [];
      while (chars[at] !== ']' || ranges.length === 0) {
        if (chars[at] === ']' || chars[at] === '-') throw bad('has a broken class');
        const low = literal();
        let high = low;
        if (chars[at] === '-') {
          at++;
          if (chars[at] === ']' || chars[at] === '-') throw bad('has a broken class');
          high = literal();
        }
        if (at >= chars.length) throw bad('has a class without its "]"');
        ranges.push([low.codePointAt(0) ?? 0, high.codePointAt(0) ?? 0]);
      }
      at++;
      tokens.push({ kind: 'class', negated, ranges });
    } else tokens.push({ kind: 'char', char: literal() });
  }
  return tokens;
}

function textOf(tokens: readonly Token[]): string {
  return tokens.map((token) => (token.kind === 'char' ? token.char : '')).join('');
}

/**
 * Go's filepath.Match: the whole path against the pattern, `*` and `?` within one folder name.
 * @throws AppError DOCKERFILE_PATTERN_INVALID
 */
export function matchGlob(pattern: string, path: string, options: GlobOptions = {}): boolean {
  return Glob.compile(pattern, options).matches(path);
}

/** Whether a COPY source is a pattern rather than a path. */
export function hasWildcards(path: string): boolean {
  return /[*?[]/.test(path.replace(/\\[\s\S]/g, ''));
}
