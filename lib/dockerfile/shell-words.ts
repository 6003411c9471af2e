/**
 * Variable expansion and word splitting, as BuildKit's shell.Lex has them: `$v`, `${v}` with the operators
 * `- :- + :+ ? :? # ## % %% / //`, single and double quotes, the escape character. It is no shell: no commands,
 * no arithmetic, no `=`.
 */
import { refusal } from './errors.js';
import { ShellPattern } from './shell-pattern.js';
import { isSpace } from './white-space.js';

/** Variables by name. */
export type Environment = ReadonlyMap<string, string> | ((name: string) => string | undefined);

export interface ExpandOptions {
  /** The escape character of the Dockerfile; `\` when absent. */
  readonly escape?: '\\' | '`';
  /** Keep quotes in the result. */
  readonly rawQuotes?: boolean;
  /** Keep escape characters in the result. */
  readonly rawEscapes?: boolean;
  /** Quotes are plain characters, as in heredoc bodies. */
  readonly plainQuotes?: boolean;
  /** Leave references to unset variables as they are. */
  readonly keepUnset?: boolean;
}

export interface Expansion {
  readonly text: string;
  readonly words: readonly string[];
  /** Names that were set. */
  readonly used: ReadonlySet<string>;
  /** Names that were asked for and not set, whether or not a default stood in. */
  readonly unset: ReadonlySet<string>;
}

/** Nesting of `${a:-${b:-…}}`. */
const MAX_DEPTH = 200;
/** Characters that variables may contribute to one word. */
const MAX_SUBSTITUTED = 1 << 20;

/**
 * The word with variables in and quotes off; blanks stay.
 * @throws AppError DOCKERFILE_EXPANSION_INVALID and _TOO_LARGE, DOCKERFILE_VARIABLE_REQUIRED, DOCKERFILE_PATTERN_INVALID
 */
export function expandWord(word: string, env: Environment, options: ExpandOptions = {}): string {
  // Most words have nothing to do.
  if (!/[$'"\\`<\ufeff]/.test(word)) return word;
  return expand(word, env, options).text;
}

/** Like `expandWord`, then split at blanks that are not quoted, those inside variables included. */
export function expandWords(word: string, env: Environment, options: ExpandOptions = {}): string[] {
  return [...expand(word, env, options).words];
}

/** The body of a heredoc: variables and `\` escapes only, whatever the file's escape character is. */
export function expandHeredoc(content: string, env: Environment): Expansion {
  return expand(content, env, { escape: '\\', plainQuotes: true });
}

/** `expandWord` and `expandWords` in one, with the names that were met: lint rules live from these. */
export function expand(word: string, env: Environment, options: ExpandOptions = {}): Expansion {
  const lexer = new Lexer(word, env, options);
  const { text, words } = lexer.read(undefined, options.rawEscapes ?? false);
  return { text, words, used: lexer.used, unset: lexer.unset };
}

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

class Lexer {
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
    if (nullIsUnset ? isTrim : !'-+?#%'.includes(first)) throw unknown();
    const { text: word } = this.read('}', isTrim);
    const value = this.value(name);
    if (value === undefined && this.options.keepUnset === true) return `\${${name}${written}${word}}`;
    const absent = value === undefined || (nullIsUnset && value === '');
    switch (operator) {
      case '-':
        return absent ? word : value;
      case '+':
        return absent ? '' : word;
      case '?':
        if (!absent) return value;
        throw this.required(name, word, value === undefined ? 'unset' : 'empty');
      case '#':
      case '%': {
        const longest = word.startsWith(operator);
        const pattern = ShellPattern.parse(longest ? word.slice(1) : word);
        return operator === '#' ? pattern.trimPrefix(value ?? '', longest) : pattern.trimSuffix(value ?? '', longest);
      }
      default:
        throw unknown();
    }
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
        { word: this.source },
      );
    }
    return value;
  }

  private peek(): string {
    return this.source[this.at] ?? '';
  }

  private required(name: string, message: string, state: 'unset' | 'empty'): Error {
    return refusal(
      'DOCKERFILE_VARIABLE_REQUIRED',
      `${name}: ${message === '' ? `is not allowed to be ${state}` : message}`,
      {
        hint: `give ${name} a value with ARG, ENV or --build-arg`,
        word: this.source,
      },
    );
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
