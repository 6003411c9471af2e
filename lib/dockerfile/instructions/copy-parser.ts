/** COPY and ADD: which sources are paths, and which are heredocs. */
import { heredocMark, stripLeadingTabs } from '../syntax/heredoc.js';
import type { CopyInstruction, Heredoc, InstructionBase, Statement } from '../types.js';
import { argumentError } from './argument-rules.js';
import { checkFlags } from './flags.js';

export function copy(kind: 'copy' | 'add', statement: Statement, base: InstructionBase): CopyInstruction {
  const name = kind.toUpperCase();
  const { words } = statement;
  const destination = words.at(-1);
  if (destination === undefined || words.length < 2) {
    throw argumentError(
      `${name} requires at least one source and a destination`,
      `${name} <source> … <destination>`,
      words[0],
    );
  }
  const flags = checkFlags(kind, statement.flags);
  if (heredocMark(destination) !== undefined) {
    throw argumentError(`${name} cannot have a heredoc as its destination`, `${name} <<EOF <destination>`, destination);
  }
  const bodies = new Map(statement.heredocs.map((heredoc) => [heredoc.name, heredoc.raw]));
  const sources: string[] = [];
  const heredocs: Heredoc[] = [];
  for (const source of words.slice(0, -1)) {
    const mark = heredocMark(source);
    if (mark === undefined) {
      sources.push(source);
      continue;
    }
    const raw = bodies.get(mark.name) ?? '';
    heredocs.push({ ...mark, raw, content: mark.stripTabs ? stripLeadingTabs(raw) : raw });
  }
  return { kind, ...base, sources, destination, flags, heredocs };
}
