/**
 * The rules of .dockerignore, as moby's patternmatcher applies them when a context is walked: later patterns win,
 * `!` brings back, a pattern that matches a folder matches all in it. The same rules serve `COPY --exclude`.
 */
import { posix } from 'node:path';
import { AppError } from '../../errors/index.js';
import { refusal } from '../errors.js';
import { Glob } from './glob.js';
import { trimSpace } from '../syntax/white-space.js';

interface Rule {
  readonly isException: boolean;
  readonly pattern: string;
  readonly matches: (path: string) => boolean;
  readonly mayMatchBelow: (folder: string) => boolean;
}

/** Which rules matched a folder, one entry a rule. */
type FolderResult = readonly boolean[];

const KEPT_FOLDERS = 10_000;

export class IgnoreFile {
  /** Patterns as cleaned, exceptions with their `!`. */
  readonly patterns: readonly string[];
  readonly hasExceptions: boolean;
  private readonly rules: readonly Rule[];
  /** A walk asks for many paths of few folders. */
  private readonly folders = new Map<string, FolderResult>();

  /** @param patterns as an ignore file or `--exclude` has them. @throws AppError DOCKERFILE_PATTERN_INVALID */
  constructor(patterns: readonly string[]) {
    this.rules = patterns.map(ruleOf).filter((rule) => rule !== undefined);
    this.patterns = this.rules.map((rule) => (rule.isException ? `!${rule.pattern}` : rule.pattern));
    this.hasExceptions = this.rules.some((rule) => rule.isException);
  }

  /** Whether the path, relative to the context and with slashes, is left out. */
  ignores(path: string): boolean {
    return this.rules.length > 0 && this.ignoresClean(cleanPath(path));
  }

  /** The same of a path that needs no clean-up. */
  ignoresClean(clean: string): boolean {
    if (clean === '.' || this.rules.length === 0) return false;
    return this.judge(clean, this.folderResult(posix.dirname(clean))).ignored;
  }

  /** Whether something below a folder may be in; false means the walk can pass by. The folder itself may be out. */
  mayContain(folder: string): boolean {
    if (!this.ignores(folder)) return true;
    const clean = cleanPath(folder);
    return this.rules.some((rule) => rule.isException && rule.mayMatchBelow(clean));
  }

  /** A COPY source as cleaned, when it is out; of the context as a whole, when everything is. */
  ignoredSource(source: string): string | undefined {
    const clean = cleanGo(source);
    if (clean !== '.' && clean !== '/') return this.ignores(clean) ? clean : undefined;
    const all = ['*', '**', '**/*'];
    return this.rules.some((rule) => !rule.isException && all.includes(rule.pattern)) ? clean : undefined;
  }

  private folderResult(folder: string): FolderResult {
    if (folder === '.' || folder === '/') return [];
    const known = this.folders.get(folder);
    if (known !== undefined) return known;
    const { matched } = this.judge(folder, this.folderResult(posix.dirname(folder)));
    if (this.folders.size >= KEPT_FOLDERS) this.folders.clear();
    this.folders.set(folder, matched);
    return matched;
  }

  private judge(path: string, parent: FolderResult): { ignored: boolean; matched: FolderResult } {
    let ignored = false;
    const matched = this.rules.map((rule, i) => {
      // Only a rule that would change the verdict is tried.
      const match = parent[i] === true || (rule.isException === ignored && rule.matches(path));
      if (match) ignored = !rule.isException;
      return match;
    });
    return { ignored, matched };
  }
}

/**
 * Reads the text of an ignore file.
 * @throws AppError DOCKERFILE_PATTERN_INVALID with the pattern
 */
export function parseIgnore(text: string, fileName = '.dockerignore'): IgnoreFile {
  const lines = (text.startsWith('\ufeff') ? text.slice(1) : text).split('\n');
  const found = lines.flatMap((line, i): { readonly pattern: string; readonly line: number }[] => {
    const pattern = trimSpace(line);
    if (line.startsWith('#') || pattern === '') return [];
    const isException = pattern.startsWith('!');
    const bare = isException ? trimSpace(pattern.slice(1)) : pattern;
    const clean = bare === '' ? '' : cleanGo(bare);
    const below = clean.length > 1 && clean.startsWith('/') ? clean.slice(1) : clean;
    return [{ pattern: (isException ? '!' : '') + below, line: i + 1 }];
  });
  try {
    return new IgnoreFile(found.map((each) => each.pattern));
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw placed(error, fileName, found.find((each) => isRefused(each.pattern))?.line ?? 1);
  }
}

function placed({ code, message, kind, hint }: AppError, fileName: string, line: number): AppError {
  const said = hint === undefined ? {} : { hint };
  return new AppError(code, `${fileName}:${line}: ${message}`, { kind, ...said, details: { file: fileName, line } });
}

function isRefused(pattern: string): boolean {
  try {
    return ruleOf(pattern) === undefined;
  } catch {
    return true;
  }
}

function ruleOf(written: string): Rule | undefined {
  const trimmed = trimSpace(written);
  if (trimmed === '') return undefined;
  const whole = cleanGo(trimmed);
  const isException = whole.startsWith('!');
  const pattern = isException ? whole.slice(1) : whole;
  if (pattern === '') {
    throw refusal('DOCKERFILE_PATTERN_INVALID', 'the pattern "!" brings back nothing', {
      hint: '!<pattern>',
      word: written,
    });
  }
  const glob = Glob.compile(pattern, { doubleStar: true });
  const matches = shortcut(pattern) ?? ((path: string): boolean => glob.matches(path));
  return { isException, pattern, matches, mayMatchBelow: (folder) => glob.mayMatchBelow(folder) };
}

/** Patterns whose only special part is `**` at one end are compared as text, as moby does: `**a` matches `ba`. */
function shortcut(pattern: string): ((path: string) => boolean) | undefined {
  if (pattern.startsWith('**') && !/[*?[\]\\]/.test(pattern.slice(2))) {
    const suffix = pattern.slice(2);
    return (path) => path.endsWith(suffix) || (suffix.startsWith('/') && path === suffix.slice(1));
  }
  if (pattern.endsWith('**') && !/[*?[\]\\]/.test(pattern.slice(0, -2))) {
    const prefix = pattern.slice(0, -2);
    return (path) => path.startsWith(prefix);
  }
  return undefined;
}

/** Go's filepath.Clean. */
function cleanGo(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}

function cleanPath(path: string): string {
  return cleanGo(path).replace(/^\/+/, '') || '.';
}
