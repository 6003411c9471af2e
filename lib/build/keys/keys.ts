/**
 * Cache keys of steps. A key covers everything that can change the layer (operation, parent, expanded arguments,
 * environment, user, folder, content with modes, owners and links, platform, tenant) and nothing that cannot (time
 * stamps, comments, labels, the order of files in a context).
 *
 * Two levels. The definition key names inputs by *their* keys, so all of them are known before a layer is read. The
 * content key names inputs by what they turned out to be; it is asked only after the definition key missed and the
 * inputs are there, and saves every step behind a RUN that gave the same files again.
 */
import type { Digest } from '../../oci/index.js';
import { formatPlatform } from '../../oci/index.js';
import { hashParts, type KeyPart } from './framing.js';
import type { CopyOp, CopySource, RunMount, RunOp, Step, WorkdirOp } from '../plan/steps.js';

/** Changes when the same key would no longer mean the same layer, for instance after a fix in COPY. */
const KEY_FORMAT = 'wharf.step.v1';

export interface StepKey {
  readonly key: string;
  readonly parts: readonly KeyPart[];
}

/** What a step stands on and reads, by key or by content. */
export interface KeyInputs {
  /** Tenant: caches are not shared across it. */
  readonly scope: string;
  readonly parent: string;
  /** Identity of what is selected. */
  readonly select: (selection: Selection, exclude: readonly string[]) => Promise<string>;
}

/** What a step takes out of a source. */
export type Selection = Pick<CopySource, 'source' | 'path' | 'literal' | 'below' | 'checksum'>;

/** Identity of a chain of layers: what FROM an image stands for. No layer at all is `scratch`. */
export function chainKey(diffIds: readonly Digest[]): string {
  return hashParts(
    'wharf.chain.v1',
    diffIds.map((value, i) => ({ name: `layer ${i}`, value })),
  );
}

export async function stepKey(step: Step, inputs: KeyInputs): Promise<StepKey> {
  const parts: KeyPart[] = [
    { name: 'scope', value: inputs.scope },
    { name: 'platform', value: formatPlatform(step.platform) },
    ...optional('SOURCE_DATE_EPOCH', step.epochSeconds),
    { name: 'what came before', value: isLinked(step) ? 'nothing: --link' : inputs.parent },
    ...(await opParts(step.op, inputs)),
  ];
  return { key: hashParts(`${KEY_FORMAT}/${step.op.kind}`, parts), parts };
}

/** A linked layer has nothing to do with what it lies on. */
export function isLinked({ op }: Step): boolean {
  return op.kind === 'copy' && op.link;
}

async function opParts(op: Step['op'], inputs: KeyInputs): Promise<KeyPart[]> {
  switch (op.kind) {
    case 'workdir':
      return workdirParts(op);
    case 'copy':
      return copyParts(op, inputs);
    case 'run':
      return runParts(op, inputs);
    default:
      return op satisfies never;
  }
}

function workdirParts(op: WorkdirOp): KeyPart[] {
  return [
    { name: 'path', value: op.path },
    { name: 'user', value: op.user },
  ];
}

async function copyParts(op: CopyOp, inputs: KeyInputs): Promise<KeyPart[]> {
  const selected = await Promise.all(op.sources.map((source) => inputs.select(source, op.exclude)));
  return [
    { name: 'destination', value: op.destination },
    ...optional('--chown', op.owner),
    ...optional('--chmod', op.mode),
    ...op.exclude.map((value) => ({ name: '--exclude', value })),
    ...op.sources.flatMap(({ path, below, literal, unpack, checksum }, i) => [
      { name: 'source', value: path },
      ...optional('--parents', below),
      ...(literal === true ? [{ name: 'as a name', value: path }] : []),
      { name: `content of ${path}`, value: selected[i] ?? '' },
      { name: 'unpack', value: String(unpack) },
      ...optional('--checksum', checksum),
    ]),
    ...op.inline.map((file) => ({ name: `heredoc ${file.name}`, value: file.content })),
  ];
}

async function runParts(op: RunOp, inputs: KeyInputs): Promise<KeyPart[]> {
  const mounts = await Promise.all(op.mounts.map((mount) => mountParts(mount, inputs)));
  return [
    ...op.args.map((value, i) => ({ name: i === op.args.length - 1 ? 'command' : `shell ${i}`, value })),
    ...[...op.env].sort().map((entry) => {
      const at = entry.indexOf('=');
      return { name: `variable ${entry.slice(0, at)}`, value: entry.slice(at + 1) };
    }),
    { name: 'user', value: op.user },
    { name: 'folder', value: op.cwd },
    { name: '--network', value: op.network },
    { name: '--security', value: op.security },
    ...optional('hostname', op.hostname),
    ...settingParts(op.settings),
    ...mounts.flat(),
    ...(op.script === undefined ? [] : [{ name: `heredoc ${op.script.name}`, value: op.script.content }]),
  ];
}

/** Names of hosts and not their addresses, as with BuildKit; limits decide over nothing that a command makes. */
function settingParts({ hosts = {}, shmBytes, ulimits = [], proxyNetwork }: RunOp['settings'] = {}): KeyPart[] {
  return [
    // What was made without the proxy has no record of what it fetched.
    ...(proxyNetwork === true ? [{ name: 'network', value: 'proxy' }] : []),
    ...Object.keys(hosts)
      .sort()
      .map((value) => ({ name: 'host', value })),
    ...optional('size of /dev/shm', shmBytes),
    ...ulimits.map(({ name, soft, hard }) => ({ name: `ulimit ${name}`, value: `${soft}:${hard}` })),
  ];
}

async function mountParts(mount: RunMount, inputs: KeyInputs): Promise<KeyPart[]> {
  const at = `--mount at ${mount.target ?? ''}`;
  switch (mount.type) {
    case 'tmpfs':
      return [{ name: at, value: `tmpfs ${mount.sizeBytes ?? ''}` }];
    case 'cache': {
      // What the cache holds never counts; who owns an empty one does.
      const { id, sharing, readonly, mode, uid, gid, base, subfolder } = mount;
      const below = subfolder === undefined ? [] : [subfolder];
      const value = `cache ${JSON.stringify([id, sharing, readonly, mode, uid, gid, ...below])}`;
      if (base === undefined) return [{ name: at, value }];
      return [
        { name: at, value },
        { name: `content of ${base.path}`, value: await inputs.select(base, []) },
      ];
    }
    case 'secret': {
      // Which secret, never its value: a new password is no reason to build again.
      const { id, env, required, mode, uid, gid } = mount;
      const value = JSON.stringify([id, mount.target ?? null, env ?? null, required, mode, uid, gid]);
      return [{ name: `--mount of secret ${id}`, value }];
    }
    case 'ssh': {
      const { id, target, required, mode, uid, gid } = mount;
      return [{ name: `--mount of ssh ${id}`, value: JSON.stringify([id, target, required, mode, uid, gid]) }];
    }
    case 'bind': {
      const content = await inputs.select(mount, []);
      return [
        { name: at, value: `bind ${JSON.stringify([mount.path, mount.readonly])}` },
        { name: `content of ${mount.path}`, value: content },
      ];
    }
    default:
      return mount satisfies never;
  }
}

function optional(name: string, value: string | number | undefined): KeyPart[] {
  return value === undefined ? [] : [{ name, value: String(value) }];
}
