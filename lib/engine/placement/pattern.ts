/**
 * A matcher for the patterns of `=~`: the regular part of Java's syntax, run as a set of states over the text, so that
 * no pattern takes more than (length of pattern × length of text) steps. Backreferences and look-around are not
 * regular and are refused. A pattern matches the whole value.
 */
import { invalidParameter } from '../ecs-error.js';

type Test = (char: string) => boolean;
type Node =
  | { readonly kind: 'char'; readonly test: Test }
  | { readonly kind: 'edge'; readonly at: 'start' | 'end' }
  | { readonly kind: 'sequence' | 'either'; readonly parts: readonly Node[] }
  | { readonly kind: 'repeat'; readonly part: Node; readonly min: number; readonly max: number };

/** One state of the machine; `next` are indexes of states. */
type State =
  | { readonly kind: 'char'; readonly test: Test; next: number }
  | { readonly kind: 'edge'; readonly at: 'start' | 'end'; next: number }
  | { readonly kind: 'split'; next: readonly number[] }
  | { readonly kind: 'match' };

const MAX_STATES = 5000;
const MAX_REPEAT = 1000;

export type Pattern = (value: string) => boolean;

/** @throws InvalidParameterException for a pattern that is not regular or not well formed */
export function compilePattern(source: string): Pattern {
  const states: State[] = [{ kind: 'match' }];
  const start = emit(new PatternParser(source).parse(), 0, states, source);
  return (value) => run(states, start, Array.from(value));
}

/** Adds the states of a node in front of state `next`; returns where it starts. */
function emit(node: Node, next: number, states: State[], source: string): number {
  const add = (state: State): number => {
    if (states.length >= MAX_STATES) throw invalidParameter(`Pattern "${source}" is too large.`);
    return states.push(state) - 1;
  };
  switch (node.kind) {
    case 'char':
      return add({ kind: 'char', test: node.test, next });
    case 'edge':
      return add({ kind: 'edge', at: node.at, next });
    case 'sequence':
      return node.parts.reduceRight((after, part) => emit(part, after, states, source), next);
    case 'either':
      return add({ kind: 'split', next: node.parts.map((part) => emit(part, next, states, source)) });
    case 'repeat':
    default: {
      let from = next;
      if (node.max === Infinity) {
        const loop: State = { kind: 'split', next: [] };
        from = add(loop);
        loop.next = [emit(node.part, from, states, source), next];
      } else {
        for (let count = node.min; count < node.max; count += 1) {
          from = add({ kind: 'split', next: [emit(node.part, from, states, source), next] });
        }
      }
      for (let count = 0; count < node.min; count += 1) from = emit(node.part, from, states, source);
      return from;
    }
  }
}

function run(states: readonly State[], start: number, text: readonly string[]): boolean {
  let current = new Set<number>();
  const follow = (index: number, position: number, into: Set<number>): void => {
    const waiting = [index];
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
      if (into.has(at)) continue;
      into.add(at);
      const state = states[at];
      if (state?.kind === 'split') waiting.push(...state.next);
      if (state?.kind === 'edge' && position === (state.at === 'start' ? 0 : text.length)) waiting.push(state.next);
    }
  };
  follow(start, 0, current);
  for (const [position, char] of text.entries()) {
    const after = new Set<number>();
    for (const index of current) {
      const state = states[index];
      if (state?.kind === 'char' && state.test(char)) follow(state.next, position + 1, after);
    }
    if (after.size === 0) return false;
    current = after;
  }
  return [...current].some((index) => states[index]?.kind === 'match');
}

const CLASSES: Readonly<Record<string, Test>> = {
  d: (c) => c >= '0' && c <= '9',
  D: (c) => !(c >= '0' && c <= '9'),
  w: (c) => /^[A-Za-z0-9_]$/.test(c),
  W: (c) => !/^[A-Za-z0-9_]$/.test(c),
  s: (c) => /^[ \t\n\v\f\r]$/.test(c),
  S: (c) => !/^[ \t\n\v\f\r]$/.test(c),
};
const CONTROL: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' };

class PatternParser {
  #at = 0;
  readonly #chars: readonly string[];

  constructor(private readonly source: string) {
    this.#chars = Array.from(source);
  }

  parse(): Node {
    const node = this.#either();
    if (this.#at < this.#chars.length) throw this.#bad(`unexpected "${this.#peek()}"`);
    return node;
  }

  #either(): Node {
    const parts = [this.#sequence()];
    while (this.#take('|')) parts.push(this.#sequence());
    return { kind: 'either', parts };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    while (this.#at < this.#chars.length && this.#peek() !== '|' && this.#peek() !== ')') parts.push(this.#repeat());
    return { kind: 'sequence', parts };
  }

  #repeat(): Node {
    let part = this.#atom();
    for (;;) {
      const range = this.#quantifier();
      if (range === undefined) return part;
      // Lazy and possessive forms match the same whole values, save that possessive ones would need backtracking rules.
      this.#take('?');
      if (this.#peek() === '+') throw this.#bad('possessive quantifiers are not supported');
      part = { kind: 'repeat', part, ...range };
    }
  }

  #quantifier(): { min: number; max: number } | undefined {
    if (this.#take('*')) return { min: 0, max: Infinity };
    if (this.#take('+')) return { min: 1, max: Infinity };
    if (this.#take('?')) return { min: 0, max: 1 };
    if (this.#peek() !== '{') return undefined;
    const match = /^\{(\d{1,4})(,(\d{1,4})?)?\}/.exec(this.#chars.slice(this.#at, this.#at + 12).join(''));
    if (match === null) throw this.#bad('a bad {…}');
    this.#at += match[0].length;
    const min = Number(match[1]);
    const max = match[2] === undefined ? min : match[3] === undefined ? Infinity : Number(match[3]);
    if (max < min || min > MAX_REPEAT || (max !== Infinity && max > MAX_REPEAT)) throw this.#bad('a bad {…}');
    return { min, max };
  }

  #atom(): Node {
    const char = this.#next();
    if (char === '(') return this.#group();
    if (char === '[') return { kind: 'char', test: this.#set() };
    if (char === '.') return { kind: 'char', test: (c) => c !== '\n' };
    if (char === '^') return { kind: 'edge', at: 'start' };
    if (char === '$') return { kind: 'edge', at: 'end' };
    if (char === '\\') return { kind: 'char', test: this.#escape() };
    if ('*+?{)'.includes(char)) throw this.#bad(`unexpected "${char}"`);
    return { kind: 'char', test: (c) => c === char };
  }

  #group(): Node {
    if (this.#take('?') && !this.#take(':')) throw this.#bad('look-around and named groups are not supported');
    const node = this.#either();
    if (!this.#take(')')) throw this.#bad('a missing ")"');
    return node;
  }

  #escape(): Test {
    const char = this.#next();
    const known = CLASSES[char];
    if (known !== undefined) return known;
    if (/[1-9k]/.test(char)) throw this.#bad('backreferences are not supported');
    const control = CONTROL[char];
    if (control === undefined && /[A-Za-z0]/.test(char)) throw this.#bad(`unknown escape "\\${char}"`);
    return (c) => c === (control ?? char);
  }

  #set(): Test {
    const negated = this.#take('^');
    const tests: Test[] = [];
    for (let first = true; first || this.#peek() !== ']'; first = false) {
      const from = this.#next();
      if (from === '\\') {
        tests.push(this.#escape());
      } else if (this.#peek() === '-' && this.#chars[this.#at + 1] !== ']') {
        this.#at += 1;
        const to = this.#next();
        if (to < from) throw this.#bad(`a bad range ${from}-${to}`);
        tests.push((c) => c >= from && c <= to);
      } else {
        tests.push((c) => c === from);
      }
    }
    this.#at += 1;
    return (c) => tests.some((test) => test(c)) !== negated;
  }

  #peek(): string {
    return this.#chars[this.#at] ?? '';
  }

  #take(char: string): boolean {
    if (this.#peek() !== char) return false;
    this.#at += 1;
    return true;
  }

  #next(): string {
    const char = this.#chars[this.#at];
    if (char === undefined) throw this.#bad('an end too soon');
    this.#at += 1;
    return char;
  }

  #bad(what: string): Error {
    return invalidParameter(`Invalid pattern "${this.source}": ${what}.`);
  }
}
