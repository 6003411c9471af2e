/**
 * A scope's folder in memory: a tmpfs of its own, whatever /run is on. What a host knows of containers that do not
 * outlive it lies there, so that nothing of it waits for a disk, secrets in a container's environment never reach one, and
 * no path of the host shows in a container's mount table.
 */
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { mustRun } from './host-command.js';
import { scopeNote, scopePaths } from './host-scope.js';
import type { HostScope } from '../types.js';

/** Mounts it once, under a lock: a second mount would hide the files of running containers. */
export async function ensureMemory(scope: HostScope): Promise<void> {
  const memory = scopePaths.memory(scope);
  mkdirSync(memory, { recursive: true, mode: 0o711 });
  if (statSync(memory).dev !== statSync(scopePaths.run(scope)).dev) return;
  const note = scopeNote(scope);
  writeFileSync(note.path, note.text);
  const script = 'mountpoint -q "$0" || mount -t tmpfs -o size=256m,mode=711,nosuid,nodev,noexec tmpfs "$0"';
  await mustRun('flock', [scopePaths.run(scope), 'sh', '-c', script, memory]);
}
