/** The parser's front door: text to Dockerfile, in the four stages lines, statements, instructions, build stages. */
import { AppError } from '../errors/index.js';
import { checkFailure } from './lint/build-linter.js';
import { findDirective } from './syntax/directives.js';
import { DockerfileError, refusal } from './errors.js';
import { instructionOf } from './instructions/instruction-parser.js';
import { lintBeforeError, lintFile } from './lint/lint-file.js';
import { parseCheckOptions } from './lint/lint-rules.js';
import { SourceText } from './syntax/source-text.js';
import { locate } from './syntax/locate.js';
import { parseStatements } from './syntax/statements.js';
import type {
  ArgInstruction,
  CheckOptions,
  Dockerfile,
  FromInstruction,
  Instruction,
  SourceRange,
  Statement,
} from './types.js';

export interface ParseOptions {
  /** Name for messages; `Dockerfile` when absent. */
  readonly fileName?: string;
  /** Takes the place of the file's `check` directive: the value of BUILDKIT_DOCKERFILE_CHECK. */
  readonly check?: string;
  /** `report` keeps `check=error=true` from throwing, for tools that only show warnings. */
  readonly violations?: 'refuse' | 'report';
}

/** @throws DockerfileError with place, source line and what would be accepted */
export function parseDockerfile(text: string, options: ParseOptions = {}): Dockerfile {
  const fileName = options.fileName ?? 'Dockerfile';
  const source = new SourceText(fileName, text);
  const { statements, escape, emptyContinuations } = parseStatements(source);
  const syntax = findDirective(text, 'syntax')?.split(' ', 1)[0];
  const parts: FileParts = { globalArgs: [], stages: [] };
  const file = {
    fileName,
    escape,
    ...(syntax === undefined ? {} : { syntax }),
    check: checkOptions(options.check ?? findDirective(text, 'check')?.split(' ', 1)[0], source),
    statements,
    ...parts,
  };
  try {
    assemble(statements, source, parts);
  } catch (error) {
    throw error instanceof DockerfileError ? error.after(lintBeforeError(file)) : error;
  }
  const warnings = lintFile(file, emptyContinuations);
  const failure = options.violations === 'report' ? undefined : checkFailure(file, warnings);
  if (failure !== undefined) throw failure;
  return { ...file, warnings };
}

/**
 * One instruction on its own: a trigger that a base image's ONBUILD left behind.
 * @throws DockerfileError, also when the text has several instructions or is a FROM
 */
export function parseInstruction(text: string, options: Pick<ParseOptions, 'fileName'> = {}): Instruction {
  const source = new SourceText(options.fileName ?? 'ONBUILD', text);
  const { statements } = parseStatements(source);
  const [statement] = statements;
  const parsed = statement === undefined ? undefined : typed(statement, source);
  if (statement !== undefined && parsed !== undefined && parsed.kind !== 'from' && statements.length === 1)
    return parsed;
  throw new DockerfileError('DOCKERFILE_ONBUILD', 'a trigger must be a single instruction', source.place(1, 1), {
    hint: 'any instruction but FROM, ONBUILD and MAINTAINER',
  });
}

function checkOptions(value: string | undefined, source: SourceText): CheckOptions {
  try {
    return parseCheckOptions(value ?? '');
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const line = source.findLine(value ?? '');
    const text = source.line(line);
    throw locate(error, source, text, [{ offset: 0, line, column: 1 }]);
  }
}

interface FileParts {
  readonly globalArgs: ArgInstruction[];
  readonly stages: { readonly from: FromInstruction; readonly index: number; readonly instructions: Instruction[] }[];
}

/** Fills the parts with what can be read. */
function assemble(statements: readonly Statement[], source: SourceText, { globalArgs, stages }: FileParts): void {
  for (const statement of statements) {
    const instruction = typed(statement, source);
    const stage = stages.at(-1);
    if (instruction.kind === 'from') stages.push({ from: instruction, index: stages.length, instructions: [] });
    else if (stage !== undefined) stage.instructions.push(instruction);
    else if (instruction.kind === 'arg') globalArgs.push(instruction);
    else {
      const error = refusal('DOCKERFILE_NO_FROM', `${statement.keyword.toUpperCase()} stands before the first FROM`, {
        hint: 'only ARG may come before FROM',
        word: statement.keyword,
      });
      throw locate(error, source, statement.code, statement.pieces);
    }
  }
  if (stages.length === 0) {
    throw new DockerfileError('DOCKERFILE_NO_FROM', 'there is no FROM, so no stage to build', source.place(1, 1), {
      hint: 'start a stage with FROM <image>, or FROM scratch',
    });
  }
}

function typed(statement: Statement, source: SourceText): FromInstruction | Instruction {
  try {
    const { startLine, endLine } = statement;
    const original = source.lines(startLine, endLine);
    return instructionOf(statement, rangeOf(statement, source), original);
  } catch (error) {
    if (error instanceof AppError && !(error instanceof DockerfileError)) {
      throw locate(error, source, statement.code, statement.pieces);
    }
    throw error;
  }
}

function rangeOf({ pieces, startLine, endLine }: Statement, source: SourceText): SourceRange {
  return {
    start: { line: startLine, column: pieces[0]?.column ?? 1 },
    end: { line: endLine, column: source.line(endLine).length + 1 },
  };
}
