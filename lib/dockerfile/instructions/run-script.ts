/** What a RUN with heredocs really runs. */
import { heredocMark } from '../syntax/heredoc.js';
import type { CommandForm, RunInstruction } from '../types.js';

export type RunScript =
  | CommandForm
  /** A body with `#!`: goes into a file that is executed as `path` (read-only, mode 0755). */
  | { readonly form: 'script'; readonly path: string; readonly content: string };

const SCRIPT_FOLDER = '/dev/pipes';

/**
 * The command of a RUN: a lone heredoc is the script itself; any other is left to the shell, body and all. Variables
 * in bodies are the shell's business, never the builder's.
 */
export function runScript(run: RunInstruction): RunScript {
  const { command, heredocs } = run;
  const [first] = heredocs;
  if (first === undefined || command.form === 'exec') return command;
  if (heredocMark(command.command) === undefined) {
    const bodies = heredocs.map(({ raw, name }) => `\n${raw}${name}`);
    return { form: 'shell', command: command.command + bodies.join('') };
  }
  if (first.content.startsWith('#!')) {
    return { form: 'script', path: `${SCRIPT_FOLDER}/${first.name}`, content: first.content };
  }
  return { form: 'shell', command: first.content };
}
