/** COPY and ADD as a step: flags checked, words expanded, paths made absolute. The files are looked at much later. */
import {
  type CopyInstruction,
  expandHeredoc,
  flagSwitch,
  flagValue,
  flagValues,
  parseChmod,
} from '../../dockerfile/index.js';
import { refusal } from '../build-errors.js';
import { destinationPath, sourcePath } from './path-names.js';
import { contentChecksum, isRemote, parseRemote } from '../fetch/remote-source.js';
import type { CopyOp, CopySource, RemoteRef, SourceRef } from './steps.js';

export interface CopyPlanning {
  readonly workdir: string;
  readonly expand: (word: string) => string;
  readonly env: ReadonlyMap<string, string>;
  /** Finds what `--from` names. */
  readonly source: (from: string) => Promise<SourceRef>;
  /** What is fetched in the place of what ADD names. */
  readonly remote: (remote: RemoteRef) => RemoteRef;
}

export interface PlannedCopy {
  readonly op: CopyOp;
  /** As BuildKit's history has it. */
  readonly history: string;
}

/** What the flags say, expanded. */
interface CopyFlags {
  readonly name: 'ADD' | 'COPY';
  readonly from: SourceRef;
  readonly owner?: string;
  readonly mode?: string;
  readonly checksum?: string;
  readonly parents: boolean;
  readonly unpack?: boolean;
  readonly keepGitFolder?: boolean;
}

/** @throws AppError BUILD_UNSUPPORTED_…, BUILD_REMOTE_INVALID, BUILD_CHECKSUM_INVALID, DOCKERFILE_CHMOD */
export async function planCopy(instruction: CopyInstruction, planning: CopyPlanning): Promise<PlannedCopy> {
  const { expand } = planning;
  const { flags } = instruction;
  const given = await readFlags(instruction, planning);
  const words = instruction.sources.map(expand);
  if (given.checksum !== undefined && words.length + instruction.heredocs.length !== 1) {
    throw refusal('BUILD_CHECKSUM_INVALID', '--checksum belongs to one source', {
      hint: 'an ADD for each source',
      word: '--checksum',
    });
  }
  const inline = instruction.heredocs.map((heredoc) => ({
    name: heredoc.name,
    content: heredoc.expand ? expandHeredoc(heredoc.content, planning.env).text : heredoc.content,
  }));
  const written = expand(instruction.destination);
  const { owner, mode } = given;
  const op: CopyOp = {
    kind: 'copy',
    sources: words.map((word) => planSource(word, given, planning)),
    inline,
    destination: destinationPath(planning.workdir, written),
    exclude: flagValues(flags, 'exclude').map(expand),
    // As BuildKit has it: --chmod needs to see what is there.
    link: (flagSwitch(flags, 'link') ?? false) && mode === undefined,
    ...(owner === undefined ? {} : { owner }),
    ...(mode === undefined ? {} : { mode }),
  };
  const history = [
    given.name,
    ...(given.parents ? ['--parents'] : []),
    ...(owner === undefined ? [] : [`--chown=${owner}`]),
    ...(mode === undefined ? [] : [`--chmod=${mode}`]),
    ...words,
    ...inline.map((file) => `<<${file.name}`),
    written,
  ];
  return { op, history: history.join(' ') };
}

async function readFlags(instruction: CopyInstruction, planning: CopyPlanning): Promise<CopyFlags> {
  const { flags } = instruction;
  const text = (name: string): string | undefined => {
    const value = planning.expand(flagValue(flags, name) ?? '');
    return value === '' ? undefined : value;
  };
  const from = flagValue(flags, 'from');
  const owner = text('chown');
  const mode = text('chmod');
  const checksum = text('checksum');
  const unpack = flagSwitch(flags, 'unpack');
  const keepGitFolder = flagSwitch(flags, 'keep-git-dir');
  if (mode !== undefined) parseChmod(mode);
  return {
    name: instruction.kind === 'add' ? 'ADD' : 'COPY',
    from: from === undefined ? { from: 'context' } : await planning.source(from),
    parents: flagSwitch(flags, 'parents') ?? false,
    ...(owner === undefined ? {} : { owner }),
    ...(mode === undefined ? {} : { mode }),
    ...(checksum === undefined ? {} : { checksum }),
    ...(unpack === undefined ? {} : { unpack }),
    ...(keepGitFolder === undefined ? {} : { keepGitFolder }),
  };
}

function planSource(word: string, flags: CopyFlags, planning: CopyPlanning): CopySource {
  if (isRemote(word)) return remoteSource(word, flags, planning);
  if (flags.keepGitFolder === true) {
    throw refusal('BUILD_REMOTE_INVALID', `ADD ${word} is no git repository, which --keep-git-dir needs`, {
      hint: 'an address that ends in .git',
      word: '--keep-git-dir',
    });
  }
  const unpack = flags.unpack ?? flags.name === 'ADD';
  const checksum = flags.checksum === undefined ? {} : { checksum: contentChecksum(flags.checksum) };
  if (!flags.parents) return { source: flags.from, path: sourcePath(word), unpack, ...checksum };
  // Before "/./" stands what is left out of the name at the destination.
  const pivot = word.indexOf('/./');
  const path = pivot < 0 ? '/' : sourcePath(word.slice(0, pivot));
  const below = sourcePath(pivot < 0 ? word : word.slice(pivot + 3)).replace(/^\/|\/$/g, '');
  return { source: flags.from, path, below, unpack };
}

function remoteSource(word: string, flags: CopyFlags, planning: CopyPlanning): CopySource {
  if (flags.name === 'COPY') {
    throw refusal('BUILD_REMOTE_INVALID', `COPY ${word}: only ADD takes files from the network`, {
      hint: `ADD ${word}`,
      word,
    });
  }
  const remote = planning.remote(parseRemote(word, flags));
  const source: SourceRef = { from: 'remote', remote };
  if (remote.kind === 'git') return { source, path: '/', unpack: false };
  return { source, path: `/${remote.name}`, literal: true, unpack: flags.unpack ?? false };
}
