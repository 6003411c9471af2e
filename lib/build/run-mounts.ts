/** `RUN --mount=…`: what is offered of it, with targets made absolute and sources found. */
import { type Mount, parseMount } from '../dockerfile/index.js';
import { refusal, unsupported } from './build-errors.js';
import { cleanPath } from './path-names.js';
import type { MountContext } from './stage-planner.js';
import type { RunMount } from './steps.js';

const ACCEPTED = '--mount=type=bind, cache or tmpfs';

/**
 * @returns undefined for a secret or ssh socket that is not required: it is not there, as docker has it
 * @throws AppError DOCKERFILE_MOUNT, BUILD_MOUNT_INVALID, BUILD_UNSUPPORTED_MOUNT_…
 */
export async function planMount(value: string, context: MountContext): Promise<RunMount | undefined> {
  const mount = parseMount(value, context.expand);
  switch (mount.type) {
    case 'tmpfs': {
      const sizeBytes = mount.sizeBytes ?? 0;
      return { type: 'tmpfs', target: target(mount, context), ...(sizeBytes === 0 ? {} : { sizeBytes }) };
    }
    case 'cache':
      return cacheMount(mount, context);
    case 'bind': {
      const source = mount.from === undefined ? ({ from: 'context' } as const) : await context.source(mount.from);
      return {
        type: 'bind',
        target: target(mount, context),
        source,
        path: cleanPath(mount.source ?? '/'),
        readonly: mount.readOnly,
      };
    }
    case 'secret':
    case 'ssh':
      if (!mount.required) return undefined;
      throw unsupported(
        `MOUNT_${mount.type.toUpperCase()}`,
        `RUN --mount=type=${mount.type} is required here, and builds are not given any yet`,
        `${ACCEPTED}; or leave out "required", and let the command do without`,
        '--mount',
      );
    default:
      return mount.type satisfies never;
  }
}

function cacheMount(mount: Mount, context: MountContext): RunMount {
  if (mount.from !== undefined || mount.source !== undefined) {
    const message = 'a cache mount that starts from other files is not offered';
    throw unsupported('MOUNT_CACHE_FROM', message, 'a cache mount without "from" and "source"', '--mount');
  }
  const path = target(mount, context);
  return {
    type: 'cache',
    target: path,
    id: mount.id === undefined || mount.id === '' ? path : mount.id,
    sharing: mount.sharing ?? 'shared',
    readonly: mount.readOnly,
    mode: mount.mode ?? 0o755,
    uid: mount.uid ?? 0,
    gid: mount.gid ?? 0,
  };
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
