/**
 * `wharf dockerfile …`: what the parser makes of a text, without a server. Dumps are S-expressions in the form of
 * BuildKit's parser tests, so that a case can be compared without reading code.
 */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command } from 'commander';
import {
  checkFailure,
  DockerfileError,
  dumpDockerfile,
  expandWord,
  expandWords,
  goQuote,
  type LintWarning,
  parseDockerfile,
} from '../../dockerfile/index.js';
import { AppError, errnoCode } from '../../errors/index.js';
import type { CliDeps } from '../deps.js';
import { printJson } from '../output.js';

export type DockerfileDeps = Pick<CliDeps, 'cwd' | 'output' | 'stdin'>;

export interface WordsInput {
  /** A path, or `-` for standard input. */
  readonly file: string;
  /** Text given on the command line takes the place of a file. */
  readonly text?: string;
  readonly env: Readonly<Record<string, string>>;
  readonly escape?: '\\' | '`';
}

const MAX_BYTES = 16 * 1024 * 1024;

/** One line for each statement: `(run ["--network=none"] "make")`. */
export async function dumpFile(input: { readonly file: string }, deps: DockerfileDeps): Promise<void> {
  deps.output.result(dumpDockerfile(await textOf(input.file, deps)));
}

/** One list for each line of the text: `("a" "b c")`. */
export async function splitWords(input: WordsInput, deps: DockerfileDeps): Promise<void> {
  await eachLine(input, deps, (line, env, options) => {
    const words = expandWords(line, env, options).map(goQuote);
    return `(${words.join(' ')})`;
  });
}

/** One string for each line of the text, variables in and quotes off: `"a b"`. */
export async function expandText(input: WordsInput, deps: DockerfileDeps): Promise<void> {
  await eachLine(input, deps, (line, env, options) => goQuote(expandWord(line, env, options)));
}

/** Every warning on a line; fails when the file says `# check=error=true`. */
export async function lintFile(
  input: { readonly file: string; readonly json?: boolean },
  deps: DockerfileDeps,
): Promise<void> {
  const fileName = input.file === '-' ? 'stdin' : input.file;
  const tell = (warnings: readonly LintWarning[]): void => {
    if (input.json === true) printJson(deps.output, { warnings });
    else for (const warning of warnings) deps.output.result(`${fileName}:${shown(warning)}\n`);
  };
  const text = await textOf(input.file, deps);
  try {
    const dockerfile = parseDockerfile(text, { fileName, violations: 'report' });
    tell(dockerfile.warnings);
    const failure = checkFailure(dockerfile, dockerfile.warnings);
    if (failure !== undefined) throw failure;
  } catch (error) {
    if (error instanceof DockerfileError && error.warnings.length > 0) tell(error.warnings);
    throw error;
  }
}

function shown({ line, rule, message, url }: LintWarning): string {
  return `${line}: ${rule}: ${message}${url === undefined ? '' : ` (${url})`}`;
}

type Expand = (line: string, env: ReadonlyMap<string, string>, options: { readonly escape?: '\\' | '`' }) => string;

async function eachLine(input: WordsInput, deps: DockerfileDeps, expand: Expand): Promise<void> {
  const env = new Map(Object.entries(input.env));
  const options = input.escape === undefined ? {} : { escape: input.escape };
  const text = input.text ?? (await textOf(input.file, deps));
  const lines = text.replace(/\r?\n$/, '').split(/\r?\n/);
  for (const [i, line] of lines.entries()) {
    try {
      deps.output.result(`${expand(line, env, options)}\n`);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const { code, kind, hint, details } = error;
      const where = input.text === undefined && input.file !== '-' ? `${input.file}:${i + 1}` : `line ${i + 1}`;
      throw new AppError(code, `${where}: ${error.message}`, {
        kind,
        details: { ...details, line: i + 1 },
        cause: error,
        ...(hint === undefined ? {} : { hint }),
      });
    }
  }
}

/** @throws AppError DOCKERFILE_NOT_FOUND, DOCKERFILE_TOO_LARGE */
async function textOf(file: string, deps: DockerfileDeps): Promise<string> {
  if (file === '-') return standardInput(deps.stdin ?? process.stdin);
  try {
    return await readFile(resolve(deps.cwd, file), 'utf8');
  } catch (error) {
    const code = errnoCode(error);
    const why = code === 'ENOENT' || code === 'ENOTDIR' ? 'there is no' : code === 'EISDIR' ? 'a folder:' : undefined;
    if (why === undefined) throw error;
    throw new AppError('DOCKERFILE_NOT_FOUND', `${why} ${file}`, {
      kind: 'not-found',
      hint: 'a file, or - for standard input',
    });
  }
}

async function standardInput(source: AsyncIterable<string | Uint8Array>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of source) {
    chunks.push(Buffer.from(chunk));
    bytes += chunk.length;
    if (bytes > MAX_BYTES) {
      throw new AppError('DOCKERFILE_TOO_LARGE', `standard input has more than ${MAX_BYTES} bytes`, {
        kind: 'too-large',
      });
    }
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The commands, for the program. */
export function dockerfileCommand(deps: CliDeps): Command {
  const dockerfile = new Command('dockerfile').description('what the parser makes of a Dockerfile; needs no platform');
  dockerfile
    .command('dump')
    .description('its statements as S-expressions')
    .argument('[file]', 'the Dockerfile, or - for standard input', 'Dockerfile')
    .action((file: string) => dumpFile({ file }, deps));
  dockerfile
    .command('lint')
    .description('what the lint rules say that need no build')
    .argument('[file]', 'the Dockerfile, or - for standard input', 'Dockerfile')
    .option('--json', 'one JSON document on stdout')
    .action((file: string, options: { readonly json?: boolean }) => lintFile({ file, ...options }, deps));
  addWords(dockerfile, 'words', 'each line split into words, variables in, as a list', splitWords, deps);
  addWords(dockerfile, 'expand', 'each line with variables in and quotes off, as a string', expandText, deps);
  return dockerfile;
}

interface WordsOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly escape?: '\\' | '`';
  readonly text?: string;
}

function addWords(
  parent: Command,
  name: string,
  description: string,
  run: (input: WordsInput, deps: DockerfileDeps) => Promise<void>,
  deps: CliDeps,
): void {
  parent
    .command(name)
    .description(description)
    .argument('[file]', 'a text file, or - for standard input', '-')
    .option('-e, --env <name=value>', 'a variable; repeatable', collectPair, {})
    .option('--text <text>', 'this text instead of a file')
    .option('--escape <character>', 'the escape character: \\ or `', escapeCharacter)
    .action((file: string, options: WordsOptions) => run({ file, ...options }, deps));
}

function collectPair(text: string, before: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const equals = text.indexOf('=');
  if (equals > 0) return { ...before, [text.slice(0, equals)]: text.slice(equals + 1) };
  throw new AppError('USAGE', `--env ${text} is not NAME=value`, { hint: '--env VERSION=1' });
}

function escapeCharacter(text: string): '\\' | '`' {
  if (text === '\\' || text === '`') return text;
  throw new AppError('USAGE', `--escape ${text} is no escape character`, { hint: '\\ or `' });
}
