/**
 * From text to statements: lines are joined at continuations, comments dropped, heredoc bodies collected, and each
 * logical line is cut into words. Nothing here knows what an instruction means; BuildKit's frontend/dockerfile/parser
 * is the model, quirks included.
 */
import { AppError } from '../../errors/index.js';
import { DirectiveReader } from './directives.js';
import { DockerfileError, refusal } from '../errors.js';
import { heredocMarks, stripLeadingTabs } from './heredoc.js';
import { locate } from './locate.js';
import type { SourceText } from './source-text.js';
import type { Heredoc, LinePiece, Statement } from '../types.js';
import { isSpace, trimLeft, trimLineEnd, trimSpace } from './white-space.js';
import * as words from './words.js';

export interface ParsedText {
  readonly statements: readonly Statement[];
  readonly escape: '\\' | '`';
  /** Lines on which a statement ended that has a blank line inside a continuation. */
  readonly emptyContinuations: readonly number[];
}

/** @throws DockerfileError */
export function parseStatements(source: SourceText): ParsedText {
  return new StatementReader(source).readAll();
}

const readers: Readonly<Record<string, (rest: string, escape: string) => words.Arguments>> = {
  add: words.jsonOrWords,
  arg: (rest, escape) => ({ words: words.quotedWords(rest, escape), json: false }),
  cmd: words.jsonOrLine,
  copy: words.jsonOrWords,
  entrypoint: words.jsonOrLine,
  env: (rest, escape) => words.keyValueWords(rest, 'ENV', escape),
  expose: words.blankWords,
  from: words.blankWords,
  healthcheck: words.healthcheckWords,
  label: (rest, escape) => words.keyValueWords(rest, 'LABEL', escape),
  maintainer: words.wholeLine,
  run: words.jsonOrLine,
  shell: words.jsonOrLine,
  stopsignal: words.wholeLine,
  user: words.wholeLine,
  volume: words.jsonOrWords,
  workdir: words.wholeLine,
};

/** ONBUILD in ONBUILD is refused later, with a better message; this keeps a long chain from growing the stack. */
const MAX_ONBUILD_DEPTH = 8;

/** Names of all instructions, lower case. */
export const INSTRUCTION_NAMES: readonly string[] = [...Object.keys(readers), 'onbuild'];

interface Words extends words.Arguments {
  readonly keyword: string;
  readonly flags: readonly string[];
  readonly nested?: Words;
  readonly code: string;
}

interface LogicalLine {
  readonly text: string;
  readonly pieces: readonly LinePiece[];
  readonly startLine: number;
}

class StatementReader {
  private readonly directives = new DirectiveReader();
  private readonly statements: Statement[] = [];
  private readonly emptyContinuations: number[] = [];
  private escape: '\\' | '`' = '\\';
  private comments: string[] = [];

  constructor(private readonly source: SourceText) {}

  readAll(): ParsedText {
    for (let line = this.source.next(); line !== undefined; line = this.source.next()) {
      const startLine = this.source.lineNumber;
      const text = this.firstLine(line);
      if (text === undefined) continue;
      const logical = this.join(text, startLine);
      this.located(logical, () => this.statements.push(this.statement(logical)));
      this.comments = [];
    }
    if (this.statements.length === 0) {
      throw new DockerfileError('DOCKERFILE_EMPTY', 'the file has no instructions', this.source.place(1, 1), {
        hint: 'the least Dockerfile is "FROM scratch"',
      });
    }
    return { statements: this.statements, escape: this.escape, emptyContinuations: this.emptyContinuations };
  }

  /** Notes comments and directives; undefined for lines that start nothing. */
  private firstLine(line: string): string | undefined {
    const isNote = isComment(line);
    if (isNote) {
      const comment = trimSpace(line.slice(1));
      if (comment === '') this.comments = [];
      else this.comments.push(comment);
    }
    const text = trimLeft(trimLineEnd(line));
    if (this.directive(text)) this.comments.pop();
    return isNote || text === '' ? undefined : text;
  }

  private directive(text: string): boolean {
    if (this.directives.ended) return false;
    const line = this.source.lineNumber;
    return this.located({ text, pieces: [{ offset: 0, line, column: 1 }], startLine: line }, () => {
      const directive = this.directives.read(text);
      if (directive?.name === 'escape') {
        const { value } = directive;
        if (value !== '\\' && value !== '`') {
          throw refusal('DOCKERFILE_DIRECTIVE', `the escape character "${value}" is not allowed`, {
            hint: 'escape=\\ or escape=`',
            word: value,
          });
        }
        this.escape = value;
      }
      return directive !== undefined;
    });
  }

  private join(first: string, startLine: number): LogicalLine {
    const parts: string[] = [];
    const pieces: LinePiece[] = [];
    let length = 0;
    let hasEmptyLine = false;
    const add = (part: string, column: number): void => {
      pieces.push({ offset: length, line: this.source.lineNumber, column });
      parts.push(part);
      length += part.length;
    };
    const indent = this.source.line(startLine).length - first.length;
    let { text, continues } = this.continuation(first);
    add(text, indent + 1);
    while (continues) {
      const line = this.source.next();
      if (line === undefined) break;
      if (isComment(line)) continue;
      const bare = trimLineEnd(line);
      if (trimLeft(bare) === '') {
        hasEmptyLine = true;
        continue;
      }
      ({ text, continues } = this.continuation(bare));
      add(text, 1);
    }
    if (hasEmptyLine) this.emptyContinuations.push(this.source.lineNumber);
    return { text: parts.join(''), pieces, startLine };
  }

  /** Takes off an escape at the end of the line, unless another stands before it. */
  private continuation(line: string): { text: string; continues: boolean } {
    let end = line.length;
    while (end > 0 && (line[end - 1] === ' ' || line[end - 1] === '\t')) end--;
    const continues = line[end - 1] === this.escape && line[end - 2] !== this.escape;
    return { text: continues ? line.slice(0, end - 1) : line, continues };
  }

  private statement(logical: LogicalLine): Statement {
    const parsed = this.words(logical.text);
    const heredocs = takesHeredocs(parsed) ? this.heredocs(logical) : [];
    return this.complete(parsed, heredocs, logical);
  }

  private complete(parsed: Words, heredocs: readonly Heredoc[], logical: LogicalLine): Statement {
    const { nested, ...own } = parsed;
    return {
      ...own,
      ...(nested === undefined ? {} : { nested: this.complete(nested, [], logical) }),
      heredocs,
      comments: this.comments,
      pieces: logical.pieces,
      startLine: logical.startLine,
      endLine: this.source.lineNumber,
    };
  }

  private words(line: string, depth = 0): Words {
    const { keyword, flags, rest } = words.splitCommand(line, this.escape);
    const name = keyword.toLowerCase();
    if (name === 'onbuild') {
      const base = { keyword, flags, words: [], json: false, code: line };
      if (depth > MAX_ONBUILD_DEPTH) {
        throw refusal('DOCKERFILE_ONBUILD', 'ONBUILD cannot trigger ONBUILD', { hint: 'one ONBUILD, once' });
      }
      return rest === '' ? base : { ...base, nested: this.words(rest, depth + 1) };
    }
    const read = Object.hasOwn(readers, name) ? readers[name] : undefined;
    return { keyword, flags, ...(read?.(rest, this.escape) ?? { words: [''], json: false }), code: line };
  }

  private heredocs(logical: LogicalLine): Heredoc[] {
    return heredocMarks(logical.text).map((mark) => {
      const body: string[] = [];
      for (let line = this.source.next(); line !== undefined; line = this.source.next()) {
        const bare = trimLineEnd(line);
        if ((mark.stripTabs ? bare.replace(/^\t+/, '') : bare) === mark.name) {
          const raw = body.join('');
          return { ...mark, raw, content: mark.stripTabs ? stripLeadingTabs(raw) : raw };
        }
        body.push(line);
      }
      throw refusal('DOCKERFILE_HEREDOC_UNTERMINATED', `heredoc "${mark.name}" has no end`, {
        hint: `a line that has only ${mark.name}`,
        word: logical.text.includes(`<<${mark.name}`) ? `<<${mark.name}` : mark.name,
      });
    });
  }

  /** Runs `work`; a refusal gets its place in the logical line. */
  private located<T>(logical: LogicalLine, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (error instanceof AppError && !(error instanceof DockerfileError)) {
        throw locate(error, this.source, logical.text, logical.pieces);
      }
      throw error;
    }
  }
}

function isComment(line: string): boolean {
  let at = 0;
  while (at < line.length && isSpace(line.charCodeAt(at))) at++;
  return line[at] === '#';
}

function takesHeredocs(parsed: Words): boolean {
  const inner = parsed.keyword.toLowerCase() === 'onbuild' ? (parsed.nested ?? parsed) : parsed;
  return !inner.json && ['add', 'copy', 'run'].includes(inner.keyword.toLowerCase());
}
