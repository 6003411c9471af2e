/**
 * Folders that git works in, each for as long as a fetch takes. A process that is killed leaves its folder and the
 * programs that it started there; whoever is given the same place next takes both away.
 */
import { mkdir, mkdtemp, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PREFIX = 'wharf-git-';

/** @param place a folder of this process alone; the temporary folder when absent */
export function makeWorkFolder(place = tmpdir()): Promise<string> {
  return mkdtemp(join(place, PREFIX));
}

/** Makes the place, or takes away what a killed process left in it. */
export async function sweepWorkFolders(place: string): Promise<void> {
  await mkdir(place, { recursive: true, mode: 0o700 });
  for (const name of await readdir(place)) {
    if (!name.startsWith(PREFIX)) continue;
    const folder = join(place, name);
    await endProcessesIn(folder);
    await rm(folder, { recursive: true, force: true });
  }
}

/** Git and what it starts (transports, ssh) have the folder, or one in it, as their working directory. */
async function endProcessesIn(folder: string): Promise<void> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '');
    if (cwd === folder || cwd.startsWith(`${folder}/`)) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
  }
}
