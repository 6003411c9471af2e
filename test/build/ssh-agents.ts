/** For tests of ssh: keys made on the spot, and which agents still run. */
import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync, rmSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A private key without passphrase; no file of it stays. */
export async function newKey(folder: string): Promise<Buffer> {
  const path = join(folder, 'build-key');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path]);
  const key = await readFile(path);
  rmSync(path);
  rmSync(`${path}.pub`);
  return key;
}

/** Processes of agents that work in a folder. */
export async function agentsBelow(folder: string): Promise<readonly string[]> {
  const numbers = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  return numbers.filter((number) => {
    try {
      const command = readFileSync(`/proc/${number}/cmdline`, 'utf8');
      return command.startsWith('ssh-agent') && readlinkSync(`/proc/${number}/cwd`).startsWith(folder);
    } catch {
      // It has ended meanwhile.
      return false;
    }
  });
}
