/**
 * A container's bundle: the folder the OCI runtime reads (runtime-spec, bundle.md), and the three files of /etc that
 * belong to the container. Written whole before the runtime is called, gone with the container.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { access, lstat, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../errors/index.js';
import { missingFrom } from './capabilities.js';
import { removeNow } from '../host/files-now.js';
import { scopePaths } from '../host/host-scope.js';
import { ensureMemory } from '../host/scope-memory.js';
import { initProgram } from '../host/host-programs.js';
import { containerResolvConf, hostResolvConf, hostsFile, ownResolvConf } from './name-files.js';
import { configText, type HostFacts, type OciRuntimeConfig, runtimeConfig } from './runtime-config.js';
import { ETC_FILES } from './runtime-mounts.js';
import type { ContainerSpec, HostScope } from '../types.js';
import { resolveUserIn } from './user.js';

let facts: Promise<HostFacts> | undefined;

/** Asked once per process. */
export function hostFacts(): Promise<HostFacts> {
  facts ??= (async () => {
    const swapFiles = ['/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes', '/sys/fs/cgroup/cgroup.controllers'];
    const found = await Promise.all(swapFiles.map((file) => exists(file)));
    const limits = await readFile('/proc/self/limits', 'utf8');
    const hard = /^Max open files\s+\S+\s+(\d+)/m.exec(limits)?.[1];
    const bounding = /^CapBnd:\s*([0-9a-f]+)$/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1];
    const init = initProgram();
    return {
      ...(init === undefined ? {} : { initProgram: init }),
      architecture: process.arch,
      swapLimit: found.includes(true),
      missingCapabilities: bounding === undefined ? [] : missingFrom(bounding),
      maxOpenFiles: hard === undefined ? Number.MAX_SAFE_INTEGER : Number(hard),
    };
  })();
  return facts;
}

export interface Bundle {
  readonly directory: string;
  readonly config: OciRuntimeConfig;
}

/**
 * Resolves the user in the mounted root and writes the bundle.
 * @param directory of the bundle; made when absent
 * @param address of the container, for its hosts file
 * @throws AppError USER_UNKNOWN, GROUP_UNKNOWN, ROOT_UNSAFE and what runtimeConfig throws
 */
export async function writeBundle(
  scope: HostScope,
  directory: string,
  spec: ContainerSpec,
  address?: string,
): Promise<Bundle> {
  const [user] = await Promise.all([
    resolveUserIn(spec.rootfs, spec.process.user),
    ...['dev', 'proc', 'sys'].map((name) => refuseLinkedMountPoint(spec.rootfs, name)),
  ]);
  const config = runtimeConfig(spec, user, scope, await hostFacts());
  await ensureMemory(scope);
  mkdirSync(directory, { recursive: true, mode: 0o711 });
  writeFileSync(join(directory, 'config.json'), configText(config), { mode: 0o600 });
  writeEtc(scope, spec, address);
  return { directory, config };
}

/** The runtime mounts and writes there before the container is closed off (CVE-2026-41579, CVE-2019-19921). */
async function refuseLinkedMountPoint(rootfs: string, name: string): Promise<void> {
  const stat = await lstat(join(rootfs, name)).catch(() => undefined);
  if (stat?.isSymbolicLink() !== true) return;
  throw new AppError('ROOT_UNSAFE', `/${name} of the image is a symbolic link`, {
    hint: `an image in which /${name} is a folder, or is not there`,
  });
}

export async function removeBundle(scope: HostScope, directory: string, id: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  removeNow(scopePaths.etc(scope, id));
}

function writeEtc(scope: HostScope, spec: ContainerSpec, address?: string): void {
  const directory = scopePaths.etc(scope, spec.id);
  mkdirSync(directory, { recursive: true, mode: 0o711 });
  const resolvConf = hostResolvConf();
  const files: Readonly<Record<(typeof ETC_FILES)[number], string>> = {
    hostname: `${spec.hostname}\n`,
    hosts: hostsFile(spec.hostname, address, spec.names?.hosts),
    'resolv.conf': ownResolvConf(
      spec.network.mode === 'host' ? resolvConf : containerResolvConf(resolvConf),
      spec.names ?? {},
    ),
  };
  // In memory: at once.
  for (const name of ETC_FILES) writeFileSync(join(directory, name), files[name], { mode: 0o644 });
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
