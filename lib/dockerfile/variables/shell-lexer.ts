/** Reads a word character by character: quotes, escapes, `$name` and `${name…}`, and where it splits into words. */
import { refusal } from '../errors.js';
import { isSpace } from '../syntax/white-space.js';
import { ShellPattern } from './shell-pattern.js';
import type { Environment, ExpandOptions } from './shell-words.js';
import { isOperator, substitute } from './substitution.js';

/** Nesting of `${a:-${b:-…}}`. */
const MAX_DEPTH = 200;
/** Characters that variables may contribute to one word. */
const MAX_SUBSTITUTED = 1 << 20;

/** Collects split words beside the running text. */
class WordList {
  readonly words: string[] = [];
  private current = '';

  /** Text where blanks split. */
  add(text: string): void {
    for (let i = 0; i < text.length; i++) {
      if (isSpace(text.charCodeAt(i))) this.end();
      else this.current += text[i] ?? '';
    }
  }

  addRaw(text: string): void {
    this.current += text;
  }

  end(): void {
    if (this.current !== '') this.words.push(this.current);
    this.current = '';
  }
}

export class ShellLexer {
  readonly used = new Set<string>();
  readonly unset = new Set<string>();
  private at: number;
  private depth = 0;
  private substituted = 0;
  private rawEscapes = false;
  private readonly escape: string;
  private readonly lookup: (name: string) => string | undefined;

  constructor(
    private readonly source: string,
    env: Environment,
    private readonly options: ExpandOptions,
  ) {
    // Go's scanner passes over a byte order mark.
    this.at = source.startsWith('\ufeff') ? 1 : 0;
    this.escape = options.escape ?? '\\';
    this.lookup = typeof env === 'function' ? env : (name) => env.get(name);
  }

  /** Up to `stop`, which is eaten, or to the end when there is none. */
  read(stop: string | undefined, rawEscapes: boolean): { text: string; words: readonly string[] } {
    const outerRaw = this.rawEscapes;
    this.rawEscapes = rawEscapes;
    if (++this.depth > MAX_DEPTH) throw this.bad(`nests deeper than ${MAX_DEPTH} levels`);
    let text = '';
    const list = new WordList();
    while (this.at < this.source.length) {
      const char = this.peek();
      if (char === stop) break;
      const special = this.special(char);
      if (special !== undefined) {
        text += special;
        if (char === '$') list.add(special);
        else list.addRaw(special);
        continue;
      }
      this.at++;
      if (char !== this.escape) {
        text += char;
        list.add(char);
        continue;
      }
      const next = this.peek();
      const kept = (rawEscapes ? char : '') + next;
      this.at++;
      text += kept;
      list.addRaw(kept);
    }
    if (stop !== undefined) {
      if (this.peek() !== stop) throw this.bad(`has no "${stop}" for its "\${"`);
      this.at++;
    }
    list.end();
    this.depth--;
    this.rawEscapes = outerRaw;
    return { text, words: list.words };
  }

  private special(char: string): string | undefined {
    if (char === '$') return this.dollar();
    if (char === '<') return this.heredocMark();
    if (this.options.plainQuotes === true) return undefined;
    if (char === "'") return this.singleQuoted();
    if (char === '"') return this.doubleQuoted();
    return undefined;
  }

  /** `<<` keeps the blanks behind it, so that `<< EOF` is one word. */
  private heredocMark(): string {
    this.at++;
    if (this.peek() !== '<') return '<';
    const start = this.at - 1;
    this.at++;
    while (this.at < this.source.length && '\t\r '.includes(this.peek())) this.at++;
    return this.source.slice(start, this.at);
  }

  private singleQuoted(): string {
    const end = this.source.indexOf("'", this.at + 1);
    if (end < 0) throw this.bad("has a ' without its partner");
    const inner = this.source.slice(this.at + 1, end);
    this.at = end + 1;
    return this.options.rawQuotes === true ? `'${inner}'` : inner;
  }

  private doubleQuoted(): string {
    const opened = this.at;
    const mark = this.options.rawQuotes === true ? '"' : '';
    let text = mark;
    this.at++;
    while (this.at < this.source.length) {
      const char = this.peek();
      if (char === '"') {
        this.at++;
        return text + mark;
      }
      if (char === '$') {
        text += this.dollar();
        continue;
      }
      this.at++;
      if (char !== this.escape) {
        text += char;
        continue;
      }
      if (this.rawEscapes) text += char;
      const next = this.peek();
      if (next === '') break;
      if (next === '"' || next === '$' || next === this.escape) {
        text += next;
        this.at++;
      } else text += char;
    }
    this.at = opened;
    throw this.bad('has a " without its partner');
  }

  private dollar(): string {
    const start = this.at;
    this.at++;
    if (this.peek() !== '{') {
      const name = this.name();
      if (name === '') return '$';
      return this.value(name) ?? (this.options.keepUnset === true ? `$${name}` : '');
    }
    this.at++;
    if (this.peek() === '' || '{}:'.includes(this.peek())) {
      this.at = start;
      throw this.bad('has a bad substitution');
    }
    const name = this.name();
    const operator = this.peek();
    this.at++;
    if (operator === '}') {
      return this.value(name) ?? (this.options.keepUnset === true ? `\${${name}}` : '');
    }
    if (operator === '') throw this.bad('has no "}" for its "${"');
    return operator === '/' ? this.replace(name) : this.operate(name, operator, start);
  }

  private operate(name: string, first: string, start: number): string {
    const nullIsUnset = first === ':';
    const operator = nullIsUnset ? this.peek() : first;
    if (nullIsUnset) this.at++;
    const written = nullIsUnset ? first + operator : first;
    const isTrim = operator === '#' || operator === '%';
    const unknown = (): Error => {
      this.at = start;
      return this.bad(`has the unknown operator "${written}"`);
    };
    if (nullIsUnset ? isTrim : !isOperator(operator)) throw unknown();
    const { text: word } = this.read('}', isTrim);
    const value = this.value(name);
    // What is kept may have an operator of the shell's own, like the `:` of `${v:0:3}`.
    if (value === undefined && this.options.keepUnset === true) return `\${${name}${written}${word}}`;
    if (!isOperator(operator)) throw unknown();
    return substitute({ name, value, operator, nullIsUnset, word, source: this.source });
  }

  private replace(name: string): string {
    const all = this.peek() === '/';
    if (all) this.at++;
    const { text: pattern } = this.read('/', true);
    const { text: replacement } = this.read('}', true);
    const value = this.value(name);
    if (value === undefined && this.options.keepUnset === true) return `\${${name}/${pattern}/${replacement}}`;
    const parsed = ShellPattern.parse(pattern);
    return all ? parsed.replaceAll(value ?? '', replacement) : parsed.replaceFirst(value ?? '', replacement);
  }

  /** A name of letters, digits and `_`; or digits alone; or one of the shell's special parameters. */
  private name(): string {
    const rest = this.source.slice(this.at, this.at + 1);
    if ('@*#?-$!'.includes(rest) && rest !== '') {
      this.at++;
      return rest;
    }
    const match = /\p{Nd}+|[\p{L}_][\p{L}\p{Nd}_]*/uy;
    match.lastIndex = this.at;
    const found = match.exec(this.source)?.[0] ?? '';
    this.at += found.length;
    return found;
  }

  private value(name: string): string | undefined {
    const value = this.lookup(name);
    (value === undefined ? this.unset : this.used).add(name);
    this.substituted += value?.length ?? 0;
    if (this.substituted > MAX_SUBSTITUTED) {
      throw refusal(
        'DOCKERFILE_EXPANSION_TOO_LARGE',
        `variables put more than ${MAX_SUBSTITUTED} characters into one word`,
        { word: this.source, hint: 'long values in a file that COPY brings' },
      );
    }
    return value;
  }

  private peek(): string {
    return this.source[this.at] ?? '';
  }

  private bad(what: string): Error {
    const shown = this.source.length > 80 ? `${this.source.slice(0, 77)}...` : this.source;
    return refusal('DOCKERFILE_EXPANSION_INVALID', `"${shown}" ${what} (character ${this.at + 1})`, {
      hint: '$NAME, ${NAME}, or ${NAME<op>word} with one of - :- + :+ ? :? # ## % %% / //; \\$ for a plain $',
      word: this.source,
      offset: this.at,
    });
  }
}
