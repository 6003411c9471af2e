/** Looks at the kernel's own view of the running containers: each has namespaces and a cgroup of its own. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const NAMESPACES = ['pid', 'net', 'mnt', 'uts', 'ipc'] as const;

/** Container id → one process of it, by the cgroups of this platform. */
export function containerProcesses(scopeId: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    const id = new RegExp(`/wharf-${scopeId}/([^/\n]+)`).exec(
      quietly(() => readFileSync(`/proc/${name}/cgroup`, 'utf8')),
    )?.[1];
    if (id !== undefined && !found.has(id)) found.set(id, Number(name));
  }
  return found;
}

/** What is wrong with the isolation of these containers; empty when each stands alone. */
export function sharedNamespaces(processes: ReadonlyMap<string, number>): readonly string[] {
  const problems: string[] = [];
  for (const namespace of NAMESPACES) {
    const seen = new Map([[readlinkSync(`/proc/self/ns/${namespace}`), 'the host']]);
    for (const [container, pid] of processes) {
      const link = readlinkSync(`/proc/${pid}/ns/${namespace}`);
      const other = seen.get(link);
      if (other !== undefined) problems.push(`${container} shares its ${namespace} namespace with ${other}`);
      seen.set(link, container);
    }
  }
  return problems;
}

/** A process may be gone by the time it is looked at. */
function quietly(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}
