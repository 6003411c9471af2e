/** `RUN --mount=…`: what is offered of it, with targets made absolute and sources found. */
import { type Mount, parseMount } from '../../dockerfile/index.js';
import { refusal } from '../build-errors.js';
import { baseNameOf, cleanPath } from './path-names.js';
import type { MountContext } from './stage-planning.js';
import type { RunMount, SourceRef } from './steps.js';

/** @throws AppError DOCKERFILE_MOUNT, BUILD_MOUNT_INVALID */
export async function planMount(value: string, context: MountContext): Promise<RunMount> {
  const mount = parseMount(value, context.expand);
  switch (mount.type) {
    case 'tmpfs': {
      const sizeBytes = mount.sizeBytes ?? 0;
      return { type: 'tmpfs', target: target(mount, context), ...(sizeBytes === 0 ? {} : { sizeBytes }) };
    }
    case 'cache':
      return cacheMount(mount, context);
    case 'secret':
      return secretMount(mount, context);
    case 'bind':
      return {
        type: 'bind',
        target: target(mount, context),
        source: await sourceOf(mount, context),
        path: cleanPath(mount.source ?? '/'),
        readonly: mount.readOnly,
      };
    case 'ssh':
      return sshMount(mount, context);
    default:
      return mount.type satisfies never;
  }
}

/** Numbered by the ssh mounts of the instruction, as BuildKit does. */
const SSH_TARGET = '/run/buildkit/ssh_agent.';

async function sourceOf(mount: Mount, context: MountContext): Promise<SourceRef> {
  return mount.from === undefined ? { from: 'context' } : context.source(mount.from);
}

async function cacheMount(mount: Mount, context: MountContext): Promise<RunMount> {
  const path = target(mount, context);
  // Without "from" a cache starts empty, and "source" names a folder in it, as in BuildKit.
  const source = mount.from === undefined ? undefined : await context.source(mount.from);
  const below = cleanPath(mount.source ?? '/').slice(1);
  const id = mount.id === undefined || mount.id === '' ? path : mount.id;
  return {
    type: 'cache',
    target: path,
    id: context.cacheNamespace === undefined ? id : `${context.cacheNamespace}/${id}`,
    sharing: mount.sharing ?? 'shared',
    readonly: mount.readOnly,
    mode: mount.mode ?? 0o755,
    uid: mount.uid ?? 0,
    gid: mount.gid ?? 0,
    ...(source === undefined ? {} : { base: { source, path: `/${below}` } }),
    ...(source !== undefined || below === '' ? {} : { subfolder: below }),
  };
}

/** As dispatchSecret of dockerfile2llb: source, id and file name stand in for each other; empty when all are missing. */
export function secretId(mount: Mount): string {
  return mount.source ?? mount.id ?? baseNameOf(mount.target ?? '');
}

export function sshId({ id = '' }: Mount): string {
  return id === '' ? 'default' : id;
}

function secretMount(mount: Mount, context: MountContext): RunMount {
  const id = secretId(mount);
  const { env } = mount;
  const refuse = (what: string): Error =>
    refusal('BUILD_MOUNT_INVALID', what, { hint: 'id=<secret>, and env=<variable> or target=<path>', word: '--mount' });
  if (id === '' || /[\0\n]/.test(id)) throw refuse('a secret mount names no secret');
  if (env !== undefined && !/^[^=\0]+$/.test(env)) throw refuse(`"${env}" is no variable`);
  const file =
    mount.target !== undefined && mount.target !== ''
      ? target(mount, context)
      : env === undefined
        ? `/run/secrets/${baseNameOf(id)}`
        : undefined;
  return {
    type: 'secret',
    id,
    required: mount.required,
    mode: mount.mode ?? 0o400,
    uid: mount.uid ?? 0,
    gid: mount.gid ?? 0,
    ...(file === undefined ? {} : { target: file }),
    ...(env === undefined ? {} : { env }),
  };
}

function sshMount(mount: Mount, context: MountContext): RunMount {
  const { required, mode = 0o600, uid = 0, gid = 0 } = mount;
  if (mount.source !== undefined) {
    throw refusal('BUILD_MOUNT_INVALID', 'an ssh mount has no source', { hint: 'id=<agent>', word: '--mount' });
  }
  const isNamed = mount.target !== undefined && mount.target !== '';
  const path = isNamed ? target(mount, context) : `${SSH_TARGET}${context.sshMounts}`;
  return { type: 'ssh', id: sshId(mount), target: path, required, mode, uid, gid };
}

function target(mount: Mount, { workdir }: { readonly workdir: string }): string {
  const written = mount.target ?? '';
  const path = written.startsWith('/') ? cleanPath(written) : cleanPath(`${workdir}/${written}`);
  if (written !== '' && path !== '/') return path;
  throw refusal('BUILD_MOUNT_INVALID', `a ${mount.type} mount has no usable target`, {
    hint: 'target=<path below the root>',
    word: '--mount',
  });
}
