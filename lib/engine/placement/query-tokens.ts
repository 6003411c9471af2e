/** Words, quoted words and signs of the cluster query language. A word ends at a space, a bracket or a comma. */
import { invalidParameter } from '../ecs-error.js';

export interface Token {
  readonly text: string;
  readonly quoted: boolean;
}

const SPACE = /\s/;
const SIGNS = ['||', '&&', '==', '!=', '>=', '<=', '=~', '!~', '>', '<', '(', ')', '[', ']', ','];
const NEGATED_WORD = /^!(exists|in)(?![A-Za-z0-9_:.-])/;

export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const char = text.charAt(at);
    if (SPACE.test(char)) {
      at += 1;
      continue;
    }
    const token =
      quoted(text, at) ?? pattern(text, at, tokens.at(-1)) ?? negated(text, at) ?? sign(text, at) ?? word(text, at);
    tokens.push({ text: token.text, quoted: token.quoted });
    at = token.end;
  }
  return tokens;
}

type Found = Token & { readonly end: number };

function quoted(text: string, at: number): Found | undefined {
  const quote = text.charAt(at);
  if (quote !== '"' && quote !== "'") return undefined;
  const end = text.indexOf(quote, at + 1);
  if (end < 0) throw invalidParameter(`Invalid expression "${text}": a missing ${quote}.`);
  return { text: text.slice(at + 1, end), quoted: true, end: end + 1 };
}

/** After `=~` an unquoted pattern goes on to the next space outside brackets, since brackets are part of it. */
function pattern(text: string, at: number, before: Token | undefined): Found | undefined {
  if (before === undefined || before.quoted || !/^(=~|!~|matches|not_matches)$/.test(before.text)) return undefined;
  let depth = 0;
  let end = at;
  for (; end < text.length && !SPACE.test(text.charAt(end)); end += 1) {
    const char = text.charAt(end);
    if (char === '\\') end += 1;
    else if (char === '(') depth += 1;
    else if (char === ')') {
      if (depth === 0) break;
      depth -= 1;
    }
  }
  return { text: text.slice(at, end), quoted: true, end: Math.min(end, text.length) };
}

function negated(text: string, at: number): Found | undefined {
  const match = NEGATED_WORD.exec(text.slice(at, at + 10));
  return match === null ? undefined : { text: match[0], quoted: false, end: at + match[0].length };
}

function sign(text: string, at: number): Found | undefined {
  const found =
    SIGNS.find((candidate) => text.startsWith(candidate, at)) ?? (text.charAt(at) === '!' ? '!' : undefined);
  return found === undefined ? undefined : { text: found, quoted: false, end: at + found.length };
}

function word(text: string, at: number): Found {
  let end = at;
  while (end < text.length && !/[\s()[\],"'<>=!&|]/.test(text.charAt(end))) end += 1;
  if (end === at) throw invalidParameter(`Invalid expression "${text}": unexpected "${text.charAt(at)}".`);
  return { text: text.slice(at, end), quoted: false, end };
}
