/** What a container runs: the image's config, overridden by the task definition with docker's rules. */
import { createHash } from 'node:crypto';
import type { ImageConfig } from '../../oci/index.js';
import type { ContainerProcess } from '../../runtime/index.js';
import type { ContainerPayload } from './types.js';

/**
 * An entry point of the definition also takes away the image's command, as `docker run --entrypoint` does; an empty
 * list counts as not given.
 * @param filed variables of environment files, weaker than the definition's own
 */
export function containerProcess(
  payload: ContainerPayload,
  image: ImageConfig,
  hostname: string,
  filed: readonly string[] = [],
): ContainerProcess {
  const config = image.config ?? {};
  const ownEntry = given(payload.entryPoint);
  const entry = ownEntry ?? config.Entrypoint ?? [];
  const command = given(payload.command) ?? (ownEntry === undefined ? (config.Cmd ?? []) : []);
  return {
    args: [...entry, ...command],
    env: mergeEnvironment([...(config.Env ?? []), `HOSTNAME=${hostname}`], [...filed, ...payload.environment]),
    cwd: payload.workingDirectory ?? config.WorkingDir ?? '',
    user: payload.user ?? config.User ?? '',
  };
}

function given(list: readonly string[] | undefined): readonly string[] | undefined {
  return list === undefined || list.length === 0 ? undefined : list;
}

/** The later value of a name wins and stands where the name stood first. */
export function mergeEnvironment(base: readonly string[], overrides: readonly string[]): readonly string[] {
  const merged = new Map<string, string>();
  for (const entry of [...base, ...overrides]) {
    const equals = entry.indexOf('=');
    merged.set(equals < 0 ? entry : entry.slice(0, equals), entry);
  }
  return [...merged.values()];
}

/**
 * The container's id on this host, always the same for one container of one task: after a restart it leads to what was
 * started before, so that nothing is ever started twice.
 */
export function runtimeIdOf(taskId: string, container: string): string {
  const hash = createHash('sha256').update(`${taskId}/${container}`).digest();
  return `${taskId}-${String(hash.readUInt32BE(0)).padStart(10, '0')}`;
}

/** What `runtimeIdOf` makes, and nothing else on the host is called. */
export const RUNTIME_ID = /^([0-9a-f]{32})-\d{10}$/;
