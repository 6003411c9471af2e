/**
 * The OCI runtimes that can make a task's container. Both are called with the same words; each keeps what it knows in a
 * folder of its own, which tells later who made a container: one made by the other goes on and is ended as well.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { scopePaths } from '../host/host-scope.js';
import type { HostScope } from '../types.js';

export const OCI_RUNTIMES = ['runc', 'crun'] as const;
export type OciRuntime = (typeof OCI_RUNTIMES)[number];

/** Who made the container; undefined when neither knows it. */
export function runtimeOf(scope: HostScope, id: string): OciRuntime | undefined {
  return OCI_RUNTIMES.find((runtime) => existsSync(join(scopePaths.runtimeRoot(scope, runtime), id)));
}
