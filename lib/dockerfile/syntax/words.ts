/**
 * Words of a logical line, one function for each of the ways instructions read their arguments (BuildKit's
 * line parsers). Quotes stay in; expansion takes them off when values are known.
 */
import { refusal } from '../errors.js';
import { cutBlanks, isSpace, splitBlanks, trimLeft, trimSpace } from './white-space.js';

export interface Arguments {
  readonly words: readonly string[];
  readonly json: boolean;
}

const NONE: Arguments = { words: [], json: false };

/** The keyword, its `--flags`, and the rest of the line. */
export function splitCommand(line: string, escape: string): { keyword: string; flags: string[]; rest: string } {
  const [keyword, after] = cutBlanks(trimSpace(line));
  if (after === undefined) return { keyword, flags: [], rest: '' };
  const { flags, end } = leadingFlags(after, escape);
  return { keyword, flags, rest: trimSpace(after.slice(end)) };
}

/** Words from the start that begin with `--`, without quotes and escapes; a bare `--` ends them. */
function leadingFlags(line: string, escape: string): { flags: string[]; end: number } {
  const flags: string[] = [];
  let at = 0;
  for (;;) {
    while (at < line.length && isSpace(line.charCodeAt(at))) at++;
    if (!line.startsWith('--', at)) return { flags, end: at };
    let word = '';
    let quote = '';
    for (; at < line.length; at++) {
      const char = line[at] ?? '';
      if (quote === '' && isSpace(line.charCodeAt(at))) break;
      if (char === quote) quote = '';
      else if (quote === '' && (char === "'" || char === '"')) quote = char;
      else if (char === escape) {
        // At the very end an escape has nothing to escape.
        at++;
        word += line[at] ?? '';
      } else word += char;
    }
    if (word === '--') return { flags, end: at };
    flags.push(word);
  }
}

/** Blank-separated words; quotes and escapes keep blanks inside a word and stay in it. */
export function quotedWords(rest: string, escape: string): string[] {
  const words: string[] = [];
  let at = 0;
  for (;;) {
    while (at < rest.length && isSpace(rest.charCodeAt(at))) at++;
    if (at >= rest.length) return words;
    let word = '';
    let quote = '';
    let wasQuoted = false;
    for (; at < rest.length; at++) {
      const char = rest[at] ?? '';
      if (quote === '' && isSpace(rest.charCodeAt(at))) break;
      if (quote === '' && (char === "'" || char === '"')) {
        quote = char;
        wasQuoted = true;
      } else if (char === quote) quote = '';
      else if (char === escape && quote !== "'") {
        if (at + 1 >= rest.length) continue;
        word += char;
        at++;
      }
      word += rest[at] ?? '';
    }
    if (word !== '' || wasQuoted) words.push(word);
  }
}

/** ENV and LABEL: `k=v …`, or `k v` to the end of the line. Three words a pair: key, value, `=` or nothing. */
export function keyValueWords(rest: string, keyword: string, escape: string): Arguments {
  const words = quotedWords(rest, escape);
  const [first] = words;
  if (first === undefined) return NONE;
  if (!first.includes('=')) {
    const [key, value] = cutBlanks(rest);
    if (value === undefined) {
      throw refusal('DOCKERFILE_ARGUMENTS', `${keyword} must have two arguments, and has only "${first}"`, {
        hint: `${keyword} ${first}=value`,
        word: first,
      });
    }
    return { words: [key, value, ''], json: false };
  }
  const triples = words.flatMap((word) => {
    const at = word.indexOf('=');
    if (at >= 0) return [word.slice(0, at), word.slice(at + 1), '='];
    throw refusal('DOCKERFILE_ARGUMENTS', `"${word}" has no "="`, {
      hint: `${keyword} name=value name2="a value with blanks"`,
      word,
    });
  });
  return { words: triples, json: false };
}

export function blankWords(rest: string): Arguments {
  return rest === '' ? NONE : { words: splitBlanks(rest), json: false };
}

export function wholeLine(rest: string): Arguments {
  return rest === '' ? NONE : { words: [rest], json: false };
}

/** A JSON array of strings, else the whole line. */
export function jsonOrLine(rest: string): Arguments {
  return jsonArray(rest) ?? wholeLine(rest);
}

/** A JSON array of strings, else blank-separated words. */
export function jsonOrWords(rest: string): Arguments {
  return jsonArray(rest) ?? blankWords(rest);
}

/** HEALTHCHECK: a type, then JSON or the rest of the line. */
export function healthcheckWords(rest: string): Arguments {
  let end = 0;
  while (end < rest.length && !isSpace(rest.charCodeAt(end))) end++;
  if (end === 0) return NONE;
  const { words, json } = jsonOrLine(trimLeft(rest.slice(end)));
  return { words: [rest.slice(0, end), ...words], json };
}

/** Undefined when it is no JSON array; an array of anything but strings is refused. */
function jsonArray(rest: string): Arguments | undefined {
  const text = trimLeft(rest);
  if (!text.startsWith('[')) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  const words = value.map((element: unknown) => {
    if (typeof element === 'string') return element.replace(/\p{Surrogate}/gu, '\ufffd');
    throw refusal('DOCKERFILE_JSON_NOT_STRINGS', 'a JSON array must have strings only', {
      hint: '["executable", "argument", …]',
      word: text,
    });
  });
  return { words, json: true };
}
