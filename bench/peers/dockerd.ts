/** A docker engine of the benchmark's own: folders, network and mount namespace are its, and go with it. */
import { join } from 'node:path';
import { Server, timed } from '../process.js';
import type { Session } from '../session.js';

const CLIENT = '/usr/bin/docker';
/** Program and Debian package. */
export const DOCKER_NEEDS: Readonly<Record<string, string>> = { dockerd: 'docker.io' };

export interface Dockerd {
  readonly pid: number;
  /** Below which it puts the cgroups of its containers. */
  readonly cgroup: string;
  readonly docker: (...args: readonly string[]) => ReturnType<typeof timed>;
  readonly peakBytes: () => number;
  readonly stop: () => Promise<void>;
}

/** @param flags further ones, of its network above all */
export async function startDockerd(session: Session, flags: readonly string[]): Promise<Dockerd> {
  const folder = await session.directory('docker');
  const cgroup = `/wharf-bench-${process.pid}`;
  const engine = [
    `dockerd ${flags.join(' ')} --storage-driver=overlay2`,
    `--data-root=${folder}/data --exec-root=${folder}/exec --pidfile=${folder}/pid --host=unix://${folder}/docker.sock`,
    `--cgroup-parent=${cgroup}`,
  ].join(' ');
  const script = `ip link set lo up && exec ${engine}`;
  const command = ['unshare', '--net', '--mount', '--propagation', 'slave', 'sh', '-c', script];
  const daemon = await Server.start(command, join(folder, 'log'));
  const stop = async (): Promise<void> => {
    await daemon.stop();
    await removeCgroups(cgroup);
  };
  session.defer(stop);
  const env = { DOCKER_BUILDKIT: '0', DOCKER_CONFIG: folder, DOCKER_HOST: `unix://${folder}/docker.sock` };
  const docker = (...args: readonly string[]): ReturnType<typeof timed> => timed([CLIENT, ...args], { env });
  await daemon.ready(async () => (await docker('version')).stdout !== '', 50);
  return { pid: daemon.pid, cgroup, docker, peakBytes: () => daemon.peakBytes(), stop };
}

async function removeCgroups(name: string): Promise<void> {
  await timed(['sh', '-c', `find /sys/fs/cgroup -depth -type d -path '*${name}*' -exec rmdir {} + 2>/dev/null; true`]);
}
