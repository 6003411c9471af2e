/**
 * The cluster query language: `memberOf` constraints and the filter of ListContainerInstances. Text becomes a tree
 * here, once; `evaluate` asks it about one instance.
 *
 *     expr := and (("||" | "or") and)*        and := unary (("&&" | "and") unary)*
 *     unary := ("!" | "not") unary | "(" expr ")" | subject operator [argument]
 */
import { invalidParameter } from '../ecs-error.js';
import { compilePattern, type Pattern } from './pattern.js';
import { tokenize, type Token } from './query-tokens.js';

export type Comparison = '==' | '!=' | '>' | '>=' | '<' | '<=';

export type Query =
  | { readonly kind: 'or' | 'and'; readonly parts: readonly Query[] }
  | { readonly kind: 'not'; readonly part: Query }
  | { readonly kind: 'exists'; readonly subject: string }
  | { readonly kind: 'compare'; readonly subject: string; readonly operator: Comparison; readonly value: string }
  | { readonly kind: 'in'; readonly subject: string; readonly values: readonly string[] }
  | { readonly kind: 'matches'; readonly subject: string; readonly pattern: Pattern };

const SUBJECT =
  /^(agentConnected|agentVersion|ec2InstanceId|registeredAt|runningTasksCount|task:group|attribute:[A-Za-z0-9_./\\-]+)$/;

/** Symbol and word forms of the operators. */
const OPERATORS: Readonly<Record<string, string>> = {
  '==': '==',
  equals: '==',
  '!=': '!=',
  not_equals: '!=',
  '>': '>',
  greater_than: '>',
  '>=': '>=',
  greater_than_equal: '>=',
  '<': '<',
  less_than: '<',
  '<=': '<=',
  less_than_equal: '<=',
  exists: 'exists',
  '!exists': '!exists',
  not_exists: '!exists',
  in: 'in',
  '!in': '!in',
  not_in: '!in',
  '=~': '=~',
  matches: '=~',
  '!~': '!~',
  not_matches: '!~',
};

const DEEPEST = 100;

/** @throws InvalidParameterException that names the place */
export function parseQuery(text: string): Query {
  return new QueryParser(text, tokenize(text)).parse();
}

class QueryParser {
  #at = 0;
  #depth = 0;

  constructor(
    private readonly text: string,
    private readonly tokens: readonly Token[],
  ) {}

  parse(): Query {
    const query = this.#or();
    const rest = this.tokens[this.#at];
    if (rest !== undefined) throw this.#bad(`unexpected "${rest.text}"`);
    return query;
  }

  #or(): Query {
    const parts = [this.#and()];
    while (this.#take('||', 'or')) parts.push(this.#and());
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : { kind: 'or', parts };
  }

  #and(): Query {
    const parts = [this.#unary()];
    while (this.#take('&&', 'and')) parts.push(this.#unary());
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : { kind: 'and', parts };
  }

  #unary(): Query {
    this.#depth += 1;
    if (this.#depth > DEEPEST) throw this.#bad('too many nested parts');
    try {
      if (this.#take('!', 'not')) return { kind: 'not', part: this.#unary() };
      if (!this.#take('(')) return this.#condition();
      const query = this.#or();
      if (!this.#take(')')) throw this.#bad('a missing ")"');
      return query;
    } finally {
      this.#depth -= 1;
    }
  }

  #condition(): Query {
    const subject = this.#next('a subject');
    if (!SUBJECT.test(subject)) {
      throw this.#bad(
        `unknown subject "${subject}"; known are agentConnected, agentVersion, ec2InstanceId, registeredAt, runningTasksCount, task:group and attribute:NAME`,
      );
    }
    const word = this.#next('an operator');
    const operator = OPERATORS[word];
    switch (operator) {
      case 'exists':
        return { kind: 'exists', subject };
      case '!exists':
        return { kind: 'not', part: { kind: 'exists', subject } };
      case 'in':
        return { kind: 'in', subject, values: this.#list() };
      case '!in':
        return { kind: 'not', part: { kind: 'in', subject, values: this.#list() } };
      case '=~':
        return { kind: 'matches', subject, pattern: compilePattern(this.#next('a pattern')) };
      case '!~':
        return {
          kind: 'not',
          part: { kind: 'matches', subject, pattern: compilePattern(this.#next('a pattern')) },
        };
      case undefined:
        throw this.#bad(`unknown operator "${word}"`);
      default:
        return { kind: 'compare', subject, operator: operator as Comparison, value: this.#next('a value') };
    }
  }

  #list(): string[] {
    if (!this.#take('[')) throw this.#bad('a list "[a, b]" was expected');
    const values = [this.#next('a value')];
    while (this.#take(',')) values.push(this.#next('a value'));
    if (!this.#take(']')) throw this.#bad('a missing "]"');
    return values;
  }

  #take(...words: readonly string[]): boolean {
    const token = this.tokens[this.#at];
    if (token === undefined || token.quoted || !words.includes(token.text)) return false;
    this.#at += 1;
    return true;
  }

  #next(what: string): string {
    const token = this.tokens[this.#at];
    if (token === undefined) throw this.#bad(`${what} was expected at the end`);
    if (!token.quoted && /^[()[\],]$/.test(token.text)) throw this.#bad(`${what} was expected before "${token.text}"`);
    this.#at += 1;
    return token.text;
  }

  #bad(what: string): Error {
    return invalidParameter(`Invalid expression "${this.text}": ${what}.`);
  }
}
