/** Steps as operations of BuildKit: numbers are those of its enumerations, what has its zero value is left out. */
import type { CopyOp, CopySource, RunMount, RunOp, SourceRef, Step, WorkdirOp } from '../plan/steps.js';
import { type Operation, platformOf } from './source-operations.js';

/** Place of a source among the operation's inputs; -1 for nothing. */
export type InputOf<T> = (what: T) => number;

export interface CopyInputs {
  readonly source: InputOf<SourceRef>;
  /** Content of a file, as JSON has bytes. */
  readonly encode: (text: string) => string;
}

export interface RunInputs extends CopyInputs {
  /** A file operation that makes the script of a heredoc. */
  readonly script: InputOf<object>;
}

const NO_INPUT = -1;
const NO_OUTPUT = -1;
const MOUNT_TYPES = { bind: 0, secret: 1, ssh: 2, cache: 3, tmpfs: 4 } as const;
const SHARING = { shared: 0, private: 1, locked: 2 } as const;
const NETWORKS = { default: 0, host: 1, none: 2 } as const;
/** The time that a file has of its own. */
const OWN_TIME = -1;

export function workdirOperation({ path, user }: WorkdirOp, target: number): Operation {
  const owner = user === '' ? {} : { owner: ownerOf(user) };
  const mkdir = { path, mode: 0o755, makeParents: true, ...owner, timestamp: OWN_TIME };
  return fileOperation([action(target, NO_INPUT, { mkdir }, true)]);
}

/** One action after the other; each stands on what the last one made. */
export function copyOperation(op: CopyOp, target: number, { source, encode }: CopyInputs): Operation {
  const inputs = op.sources.map((each) => source(each.source));
  const copies = op.sources.map((each) => ({ copy: copyAction(each, op) }));
  const files = op.inline.map(({ name, content }) => ({ mkfile: fileAction(name, encode(content), op) }));
  const all = [...copies, ...files];
  // Results of actions are counted on behind the inputs.
  const width = Math.max(target, ...inputs) + 1;
  return fileOperation(
    all.map((each, i) => {
      const on = i === 0 ? target : width + i - 1;
      return action(on, inputs[i] ?? NO_INPUT, each, i === all.length - 1);
    }),
  );
}

function copyAction(source: CopySource, op: CopyOp): object {
  const { below } = source;
  return {
    src: below === undefined ? source.path : `${source.path.replace(/\/$/, '')}/./${below}`,
    dest: op.destination,
    ...(op.owner === undefined ? {} : { owner: ownerOf(op.owner) }),
    ...modeOf(op.mode),
    followSymlink: true,
    dirCopyContents: true,
    ...(source.unpack ? { attemptUnpackDockerCompatibility: true } : {}),
    createDestPath: true,
    ...(source.literal === true ? {} : { allowWildcard: true }),
    timestamp: OWN_TIME,
    ...(op.exclude.length === 0 ? {} : { exclude_patterns: op.exclude }),
  };
}

function fileAction(name: string, data: string, op: CopyOp): object {
  const path = op.destination.endsWith('/') ? op.destination + name : op.destination;
  const owner = op.owner === undefined ? {} : { owner: ownerOf(op.owner) };
  const mode = op.mode !== undefined && /^[0-7]+$/.test(op.mode) ? Number.parseInt(op.mode, 8) : 0o644;
  return { path, mode, data, ...owner, timestamp: OWN_TIME };
}

function modeOf(mode: string | undefined): object {
  if (mode === undefined) return { mode: -1 };
  return /^[0-7]+$/.test(mode) ? { mode: Number.parseInt(mode, 8) } : { mode: -1, modeStr: mode };
}

/** `user[:group]`, by name or by number. */
function ownerOf(text: string): object {
  const [user = '', group = ''] = text.split(':');
  const of = (name: string): object =>
    /^\d+$/.test(name) ? { User: { byId: Number(name) } } : { User: { byName: { name } } };
  return { ...(user === '' ? {} : { user: of(user) }), ...(group === '' ? {} : { group: of(group) }) };
}

function fileOperation(actions: readonly object[]): Operation {
  return { Op: { file: { actions } } };
}

function action(input: number, secondaryInput: number, what: object, isLast: boolean): object {
  return { input, secondaryInput, output: isLast ? 0 : NO_OUTPUT, Action: what };
}

/** A RUN. Proxies are no part of it, values of secrets neither. */
export function runOperation(step: Step, op: RunOp, target: number, inputs: RunInputs): Operation {
  const secretenv = op.mounts.flatMap((mount) => {
    if (mount.type !== 'secret' || mount.env === undefined) return [];
    return [{ ID: mount.id, name: mount.env, ...(mount.required ? {} : { optional: true }) }];
  });
  const exec = {
    meta: {
      args: op.args,
      env: op.env,
      cwd: op.cwd,
      ...(op.user === '' ? {} : { user: op.user }),
      ...(op.hostname === undefined ? {} : { hostname: op.hostname }),
    },
    mounts: [
      { input: target, dest: '/', output: 0 },
      ...scriptMounts(op, inputs),
      ...op.mounts.flatMap((mount) => mountOf(mount, inputs.source)),
    ],
    ...(op.network === 'default' ? {} : { network: NETWORKS[op.network] }),
    ...(op.security === 'insecure' ? { security: 1 } : {}),
    ...(secretenv.length === 0 ? {} : { secretenv }),
  };
  return { Op: { exec }, ...platformOf(step.platform) };
}

function scriptMounts({ script }: RunOp, inputs: RunInputs): readonly object[] {
  if (script === undefined) return [];
  const { name, content } = script;
  const mkfile = { path: `/${name}`, mode: 0o755, data: inputs.encode(content), timestamp: OWN_TIME };
  const file = { file: { actions: [action(NO_INPUT, NO_INPUT, { mkfile }, true)] } };
  return [{ input: inputs.script(file), dest: '/dev/pipes/', output: NO_OUTPUT, readonly: true }];
}

function mountOf(mount: RunMount, source: InputOf<SourceRef>): readonly object[] {
  const type = mount.type === 'bind' ? {} : { mountType: MOUNT_TYPES[mount.type] };
  const nothing = { input: NO_INPUT, output: NO_OUTPUT, ...type };
  switch (mount.type) {
    case 'bind': {
      const { target, path } = mount;
      return [
        {
          input: source(mount.source),
          ...selected(path),
          dest: target,
          output: NO_OUTPUT,
          ...readonly(mount.readonly),
        },
      ];
    }
    case 'cache': {
      const { base, target, id, sharing, subfolder } = mount;
      const cacheOpt = { ID: id, ...(sharing === 'shared' ? {} : { sharing: SHARING[sharing] }) };
      const input = base === undefined ? NO_INPUT : source(base.source);
      const selector = selected(base?.path ?? subfolder ?? '/');
      return [{ ...nothing, input, ...selector, dest: target, ...readonly(mount.readonly), cacheOpt }];
    }
    case 'tmpfs': {
      const size = mount.sizeBytes === undefined ? {} : { TmpfsOpt: { size: mount.sizeBytes } };
      return [{ ...nothing, dest: mount.target, ...size }];
    }
    case 'secret':
      return mount.target === undefined ? [] : [{ ...nothing, dest: mount.target, secretOpt: given(mount) }];
    case 'ssh':
      return [{ ...nothing, dest: mount.target, SSHOpt: given(mount) }];
    default:
      return mount satisfies never;
  }
}

function given({ id, uid, gid, mode, required }: RunMount & { readonly type: 'secret' | 'ssh' }): object {
  const owner = { ...(uid === 0 ? {} : { uid }), ...(gid === 0 ? {} : { gid }) };
  return { ID: id, ...owner, mode, ...(required ? {} : { optional: true }) };
}

function selected(path: string): object {
  return path === '/' || path === '' ? {} : { selector: path };
}

function readonly(is: boolean): object {
  return is ? { readonly: true } : {};
}
