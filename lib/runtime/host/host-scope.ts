/**
 * HostScope: one platform's identity on this machine. Everything Wharf makes outside its data folder (bridge, network
 * namespaces, cgroups, iptables rules) carries the scope's six digits, so that two platforms never touch each other's
 * things and a sweep can find every piece of its own.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { AppError, errnoCode } from '../../errors/index.js';
import type { OciRuntime } from '../oci-runtime/oci-runtime.js';
import type { HostScope } from '../types.js';

interface ScopeFile {
  readonly id: string;
  /** Where the folder was when the id was made: tells a copied folder from a moved one. */
  readonly directory: string;
}

/**
 * Opens (or makes) the runtime folder of a platform. The id stays the same for the life of the folder; a copy of the
 * folder gets its own. One that was deleted while its containers ran gets the id of these, so that a sweep finds them.
 */
export async function openHostScope(directory: string): Promise<HostScope> {
  await mkdir(directory, { recursive: true, mode: 0o711 });
  const path = await realpath(directory);
  const file = join(path, 'scope.json');
  for (;;) {
    const known = await readScope(file);
    if (known !== undefined) {
      if (await isOf(path, known)) return { id: known.id, directory: path };
      await rm(file, { force: true });
    }
    const id = (await scopeLeftBy(path)) ?? randomBytes(3).toString('hex');
    const fresh: ScopeFile = { id, directory: path };
    const temporary = `${file}.${randomBytes(4).toString('hex')}`;
    await writeFile(temporary, JSON.stringify(fresh), { flush: true });
    try {
      // link refuses where rename would replace: of two openers, both end with the first one's id.
      await link(temporary, file);
    } catch (error) {
      if (errnoCode(error) !== 'EEXIST') throw error;
    } finally {
      await rm(temporary, { force: true });
    }
  }
}

/** The scope of a runtime folder, if it has one or left one on the host; makes nothing. */
export async function findHostScope(directory: string): Promise<HostScope | undefined> {
  const path = await realpath(directory).catch(() => resolve(directory));
  const known = await readScope(join(path, 'scope.json'));
  const id = known !== undefined && (await isOf(path, known)) ? known.id : await scopeLeftBy(path);
  return id === undefined ? undefined : { id, directory: path };
}

/** Beside what the scope has on the host: whose it is. */
export function scopeNote(scope: HostScope): { readonly path: string; readonly text: string } {
  const note: ScopeFile = { id: scope.id, directory: scope.directory };
  return { path: join(scopePaths.run(scope), 'scope.json'), text: JSON.stringify(note) };
}

/** The id of what a runtime folder of this path has on the host. */
async function scopeLeftBy(path: string): Promise<string | undefined> {
  for (const name of await readdir('/run')) {
    if (!/^wharf-[0-9a-f]{6}$/.test(name)) continue;
    // Another platform may be writing its own right now.
    const left = await readScope(join('/run', name, 'scope.json')).catch(() => undefined);
    if (left?.directory === path && name === `wharf-${left.id}`) return left.id;
  }
  return undefined;
}

async function readScope(file: string): Promise<ScopeFile | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  const value = JSON.parse(text) as Partial<ScopeFile>;
  if (typeof value.id !== 'string' || !/^[0-9a-f]{6}$/.test(value.id) || typeof value.directory !== 'string') {
    throw new AppError('SCOPE_INVALID', `${file} does not hold a scope`, {
      kind: 'internal',
      hint: 'delete the file when no container of this platform runs any more',
    });
  }
  return { id: value.id, directory: value.directory };
}

/** False for what came with a copy of another folder. */
async function isOf(path: string, known: ScopeFile): Promise<boolean> {
  if (known.directory === path) return true;
  const there = await readScope(join(known.directory, 'scope.json')).catch(() => undefined);
  return there?.id !== known.id;
}

const CONTAINER_ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/;

/** @throws AppError CONTAINER_ID_INVALID */
export function checkContainerId(id: string): string {
  if (CONTAINER_ID.test(id)) return id;
  throw new AppError('CONTAINER_ID_INVALID', `${JSON.stringify(id)} cannot name a container`, {
    hint: 'up to 100 letters, digits, "-" and "_", the first a letter or digit',
  });
}

/** Where the pieces of a scope lie. */
export const scopePaths = {
  /** Volatile state: gone after a reboot, like the containers themselves. */
  run: (scope: HostScope): string => `/run/wharf-${scope.id}`,
  /** Of it, what lies in memory; `ensureMemory` before anything is put there. */
  memory: (scope: HostScope): string => `/run/wharf-${scope.id}/memory`,
  /** Where an OCI runtime keeps what it knows of its containers. */
  runtimeRoot: (scope: HostScope, runtime: OciRuntime): string => `/run/wharf-${scope.id}/memory/${runtime}`,
  /** Short, since a socket's path has at most 107 bytes. */
  sockets: (scope: HostScope): string => `/run/wharf-${scope.id}/memory/s`,
  /** Of build steps. */
  bundle: (scope: HostScope, id: string): string => join(scope.directory, 'bundles', checkContainerId(id)),
  supervisedBundles: (scope: HostScope): string => `/run/wharf-${scope.id}/memory/bundles`,
  supervisedBundle: (scope: HostScope, id: string): string =>
    `/run/wharf-${scope.id}/memory/bundles/${checkContainerId(id)}`,
  etc: (scope: HostScope, id: string): string => `/run/wharf-${scope.id}/memory/etc/${checkContainerId(id)}`,
  /** Who has which link and address. */
  attachments: (scope: HostScope): string => `/run/wharf-${scope.id}/memory/network`,
  exits: (scope: HostScope): string => join(scope.directory, 'exits'),
  exitFile: (scope: HostScope, id: string): string => join(scope.directory, 'exits', checkContainerId(id)),
  log: (scope: HostScope, id: string): string => join(scope.directory, 'logs', `${checkContainerId(id)}.log`),
  /** What of the network outlives a reboot. */
  network: (scope: HostScope): string => join(scope.directory, 'network'),
  netns: (scope: HostScope, id: string): string => `/run/netns/${netnsName(scope, id)}`,
} as const;

export function netnsName(scope: HostScope, id: string): string {
  return `wharf-${scope.id}-${checkContainerId(id)}`;
}

/** At most 15 characters, as for every interface. */
export function bridgeName(scope: HostScope): string {
  return `wh${scope.id}`;
}

/** Name of the network; it stands in the comments of the iptables rules that we and the plugin make. */
export function networkName(scope: HostScope): string {
  return `wharf-${scope.id}`;
}

/** Below the root of every cgroup hierarchy. */
export function cgroupPath(scope: HostScope, id?: string): string {
  return id === undefined ? `/wharf-${scope.id}` : `/wharf-${scope.id}/${checkContainerId(id)}`;
}
