/**
 * What a rule of a source policy is about: an identifier exactly, with `*`, or a regular expression; and what a CONVERT
 * makes of it. Names of sources come from strangers' Dockerfiles and patterns from strangers' requests, so neither may
 * hold the builder up: `*` is matched in linear time, and an expression has a time limit.
 */
import { createContext, Script } from 'node:vm';
import type { PolicySelector } from '../types.js';

export interface Pattern {
  matches(identifier: string): boolean;
  /** The identifier with what was matched put into `$1` or `${name}`, as Go's regexp does. */
  format(identifier: string, template: string): string;
}

/** Of the clock: a machine with much to do must not refuse what is no trouble. */
const MATCH_MS = 500;

/** @throws Error, with a sentence why the selector is none */
export function patternOf({ identifier, match_type: type = 'WILDCARD' }: PolicySelector): Pattern {
  switch (type) {
    case 'EXACT':
      return { matches: (text) => text === identifier, format: (_, template) => template };
    case 'WILDCARD':
      return wildcard(identifier);
    case 'REGEX':
      return expression(identifier);
    default:
      return type satisfies never;
  }
}

function wildcard(pattern: string): Pattern {
  if (pattern.includes('**')) throw new Error('it has "**" in it');
  const parts = pattern.split('*');
  return {
    matches: (text) => captures(parts, text) !== undefined,
    format: (text, template) => {
      const found = captures(parts, text);
      return found === undefined ? text : expandTemplate(template, (name) => [text, ...found][Number(name)]);
    },
  };
}

/** What each `*` stands for, the first as long as can be: so every literal is as far to the right as it can be. */
function captures(parts: readonly string[], text: string): readonly string[] | undefined {
  const [first = '', ...rest] = parts;
  const last = rest.pop();
  if (last === undefined) return text === first ? [] : undefined;
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return undefined;
  const found: string[] = [];
  let end = text.length - last.length;
  for (const part of rest.reverse()) {
    const at = text.lastIndexOf(part, end - part.length);
    if (at < first.length || end < part.length) return undefined;
    found.unshift(text.slice(at + part.length, end));
    end = at;
  }
  return [text.slice(first.length, end), ...found];
}

interface Found {
  readonly index: number;
  readonly groups: readonly (string | undefined)[];
  readonly named: Readonly<Record<string, string | undefined>>;
}

function expression(pattern: string): Pattern {
  const insensitive = pattern.startsWith('(?i)');
  // Go's way of naming a group.
  const source = (insensitive ? pattern.slice(4) : pattern).replaceAll('(?P<', '(?<');
  const flags = insensitive ? 'giu' : 'gu';
  void new RegExp(source, flags);
  const find = (text: string): readonly Found[] => findAll(source, flags, text);
  return {
    matches: (text) => find(text).length > 0,
    format: (text, template) => {
      let result = '';
      let from = 0;
      for (const { index, groups, named } of find(text)) {
        const group = (name: string): string | undefined => (/^\d+$/.test(name) ? groups[Number(name)] : named[name]);
        result += text.slice(from, index) + expandTemplate(template, group);
        from = index + (groups[0]?.length ?? 0);
      }
      return result + text.slice(from);
    },
  };
}

const FIND_ALL = new Script(`JSON.stringify([...text.matchAll(new RegExp(source, flags))].map((match) => ({
  index: match.index,
  groups: [...match],
  named: { ...match.groups },
})))`);

/** @throws Error when it takes too long */
function findAll(source: string, flags: string, text: string): readonly Found[] {
  try {
    const json: unknown = FIND_ALL.runInContext(createContext({ source, flags, text }), { timeout: MATCH_MS });
    return JSON.parse(String(json));
  } catch (error) {
    throw new Error(`it takes too long to match ${text.slice(0, 200)}`, { cause: error });
  }
}

/** Go's Regexp.Expand: `$name` takes as many letters as it can, an unknown name is nothing. */
function expandTemplate(template: string, value: (name: string) => string | undefined): string {
  return template.replace(/\$(?:\$|(\w+)|\{(\w+)\})/g, (all, bare?: string, braced?: string) => {
    if (all === '$$') return '$';
    return value(bare ?? braced ?? '') ?? '';
  });
}
