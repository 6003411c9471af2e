/** COPY and ADD as a step: flags checked, words expanded, paths made absolute. The files are looked at much later. */
import { type CopyInstruction, expandHeredoc, parseChmod } from '../dockerfile/index.js';
import { unsupported } from './build-errors.js';
import { destinationPath, sourcePath } from './path-names.js';
import type { CopyOp, SourceRef } from './steps.js';

export interface CopyPlanning {
  readonly workdir: string;
  readonly expand: (word: string) => string;
  readonly env: ReadonlyMap<string, string>;
  /** Finds what `--from` names. */
  readonly source: (from: string) => Promise<SourceRef>;
}

export interface PlannedCopy {
  readonly op: CopyOp;
  /** As BuildKit's history has it. */
  readonly history: string;
}

/** Flags of COPY and ADD that are known and not offered, with what to do instead. */
const NOT_OFFERED: Readonly<Record<string, string>> = {
  parents: 'name the destination folder of each source instead',
  checksum: 'ADD of files and archives of the build context; fetch URLs in a RUN step',
  'keep-git-dir': 'ADD of files and archives of the build context; clone in a RUN step',
  unpack: 'COPY to keep an archive as it is, ADD to unpack it',
};

/** @throws AppError BUILD_UNSUPPORTED_…, DOCKERFILE_CHMOD */
export async function planCopy(instruction: CopyInstruction, planning: CopyPlanning): Promise<PlannedCopy> {
  const { expand } = planning;
  const add = instruction.kind === 'add';
  const name = add ? 'ADD' : 'COPY';
  let source: SourceRef = { from: 'context' };
  let owner: string | undefined;
  let mode: string | undefined;
  const exclude: string[] = [];
  for (const flag of instruction.flags) {
    const value = flag.value ?? '';
    if (flag.name === 'from') source = await planning.source(value);
    else if (flag.name === 'chown') owner = expand(value);
    else if (flag.name === 'chmod') mode = expand(value);
    else if (flag.name === 'exclude') exclude.push(value);
    else if (flag.name !== 'link' && flag.value !== 'false') {
      const what = flag.name.toUpperCase().replaceAll('-', '_');
      const accepted = NOT_OFFERED[flag.name] ?? '--from, --chown, --chmod, --exclude or --link';
      throw unsupported(`${name}_${what}`, `${name} --${flag.name} is not offered`, accepted, `--${flag.name}`);
    }
  }
  if (mode !== undefined && mode !== '') parseChmod(mode);
  const sources = instruction.sources.map(expand);
  for (const path of sources) refuseRemote(path, name);
  const inline = instruction.heredocs.map((heredoc) => ({
    name: heredoc.name,
    content: heredoc.expand ? expandHeredoc(heredoc.content, planning.env).text : heredoc.content,
  }));
  const written = expand(instruction.destination);
  const op: CopyOp = {
    kind: 'copy',
    unpack: add,
    source,
    paths: sources.map(sourcePath),
    inline,
    destination: destinationPath(planning.workdir, written),
    exclude,
    ...(owner === undefined || owner === '' ? {} : { owner }),
    ...(mode === undefined || mode === '' ? {} : { mode }),
  };
  const words = [
    name,
    ...(owner === undefined || owner === '' ? [] : [`--chown=${owner}`]),
    ...(mode === undefined || mode === '' ? [] : [`--chmod=${mode}`]),
    ...sources,
    ...inline.map((file) => `<<${file.name}`),
    written,
  ];
  return { op, history: words.join(' ') };
}

function refuseRemote(path: string, name: string): void {
  const remote = /^(https?|git|ssh):\/\//.test(path) || /^git@[^/]+:/.test(path);
  if (!remote) return;
  throw unsupported(
    `${name}_REMOTE`,
    `${name} ${path}: sources outside the build context are not offered`,
    'a file of the build context; fetch it before the build or in a RUN step',
    path,
  );
}
