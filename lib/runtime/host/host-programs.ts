/** The programs of the host that containers need, and what cannot be done without each. */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { PLUGIN_FOLDERS, PLUGINS } from '../network/cni.js';
import { HOST_PATH } from './host-command.js';
import type { OciRuntime } from '../oci-runtime/oci-runtime.js';

const PROGRAMS: Readonly<Record<string, string>> = {
  runc: 'no container can run: neither RUN steps nor tasks',
  conmon: 'no task can run',
  mount: 'no layers can be mounted',
  umount: 'no layers can be unmounted',
  flock: 'platforms on one host cannot take turns with the network',
  ip: 'containers get no network',
  iptables: 'no published ports and no egress',
  'iptables-save': 'no published ports and no egress',
};

/** Statically linked, so that they run in any image. */
const INIT_PROGRAMS = [
  '/usr/bin/docker-init',
  '/usr/libexec/docker/docker-init',
  '/usr/bin/tini-static',
  '/usr/libexec/podman/catatonit',
  '/usr/lib/podman/catatonit',
  '/usr/bin/catatonit',
];

/** What can be process 1 of a container; undefined where the host has none. */
export function initProgram(): string | undefined {
  return INIT_PROGRAMS.find((path) => isExecutable(path));
}

/**
 * One sentence for each missing program: its name, and what is lost without it. Empty when all are there.
 * @param ociRuntime what is to make the containers of tasks
 */
export function missingTools(ociRuntime: OciRuntime = 'runc'): readonly string[] {
  const folders = HOST_PATH.split(':');
  const missing = Object.entries({ ...(ociRuntime === 'crun' ? { crun: 'it was chosen for tasks' } : {}), ...PROGRAMS })
    .filter(([name]) => !folders.some((folder) => isExecutable(join(folder, name))))
    .map(([name, loss]) => `${name}: ${loss}`);
  const plugins = PLUGIN_FOLDERS.some((folder) => PLUGINS.every((name) => isExecutable(join(folder, name))));
  return plugins ? missing : [...missing, `CNI plugins (${PLUGINS.join(', ')}): containers get no network`];
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
