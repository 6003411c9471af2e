/** What the mounts of a RUN hold, and the variables that come with them: files of sources, secrets, keys. */
import { AppError } from '../../errors/index.js';
import type { ImageTree } from '../../layers/index.js';
import type { BuildSecretValues } from '../build-secrets.js';
import { sshKeysOf } from '../build-ssh.js';
import type { Layer, RunMount, RunOp, SourceRef } from '../plan/steps.js';
import type { SandboxMount } from '../sandbox/sandbox.js';

export interface MountInput {
  readonly source: (source: SourceRef) => Promise<ImageTree>;
  /** Layers that a source stands for; the context becomes one. */
  readonly sourceLayers: (source: SourceRef) => Promise<readonly Layer[]>;
  readonly secrets: BuildSecretValues;
}

/** @returns undefined for a secret or an ssh agent that is not given and not required */
export async function mountContents(mount: RunMount, input: MountInput): Promise<SandboxMount | undefined> {
  switch (mount.type) {
    case 'tmpfs':
      return mount;
    case 'secret': {
      const { target, mode, uid, gid } = mount;
      const content = secretOf(mount, input.secrets);
      if (content === undefined || target === undefined) return undefined;
      return { type: 'secret', target, content, mode, uid, gid };
    }
    case 'ssh': {
      const { target, mode, uid, gid } = mount;
      const keys = agentKeys(mount, input.secrets);
      return keys === undefined ? undefined : { type: 'ssh', target, keys, mode, uid, gid };
    }
    case 'cache': {
      const { base, ...rest } = mount;
      return base === undefined ? rest : { ...rest, base: await mountSource(mount.type, base, input) };
    }
    case 'bind':
      return {
        type: 'layers',
        target: mount.target,
        readonly: mount.readonly,
        ...(await mountSource(mount.type, mount, input)),
      };
    default:
      return mount satisfies never;
  }
}

async function mountSource(
  type: string,
  from: { readonly source: SourceRef; readonly path: string },
  input: MountInput,
): Promise<{ readonly layers: readonly Layer[]; readonly path: string }> {
  const tree = await input.source(from.source);
  const path = tree.resolve(from.path);
  const entry = path === '' ? undefined : tree.exact(path);
  if (path !== '' && (entry === undefined || (type === 'cache' && entry.type !== 'directory'))) {
    const what = entry === undefined ? 'is not there' : `is a ${entry.type}, not a folder`;
    throw new AppError('BUILD_MOUNT_SOURCE_MISSING', `the ${type} mount's source ${from.path} ${what}`, {
      kind: 'not-found',
    });
  }
  return { layers: await input.sourceLayers(from.source), path };
}

function secretOf(mount: RunMount & { readonly type: 'secret' }, secrets: BuildSecretValues): Uint8Array | undefined {
  const value = secrets.get(mount.id);
  if (value !== undefined || !mount.required) return value;
  throw new AppError('BUILD_SECRET_MISSING', `the secret ${JSON.stringify(mount.id)} is required and was not given`, {
    kind: 'invalid',
    hint: 'give it with the build, or leave out "required"',
    details: { secret: mount.id, word: '--mount' },
  });
}

function agentKeys(
  mount: RunMount & { readonly type: 'ssh' },
  secrets: BuildSecretValues,
): readonly Uint8Array[] | undefined {
  const keys = sshKeysOf(secrets, mount.id);
  if (keys.length > 0) return keys;
  if (!mount.required) return undefined;
  throw new AppError('BUILD_SSH_MISSING', `the ssh agent ${JSON.stringify(mount.id)} is required and has no keys`, {
    kind: 'invalid',
    hint: `give the build a key: wharf build --ssh ${mount.id}=<private key file>; or leave out "required"`,
    details: { ssh: mount.id, word: '--mount' },
  });
}

/** Where ssh looks for its agent, unless the Dockerfile says otherwise; also when there is none, as with BuildKit. */
export function agentEnv(op: RunOp): readonly string[] {
  const agent = op.mounts.find(({ type }) => type === 'ssh');
  const isSet = op.env.some((entry) => entry.startsWith('SSH_AUTH_SOCK='));
  return agent === undefined || isSet ? [] : [`SSH_AUTH_SOCK=${agent.target}`];
}

export function secretEnv(op: RunOp, secrets: BuildSecretValues): ReadonlyMap<string, string> {
  const env = new Map<string, string>();
  for (const mount of op.mounts) {
    if (mount.type !== 'secret' || mount.env === undefined) continue;
    const value = secretOf(mount, secrets);
    if (value !== undefined) env.set(mount.env, Buffer.from(value).toString('utf8'));
  }
  return env;
}
