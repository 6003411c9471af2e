/** Whether this Linux runs programs of another architecture: binfmt_misc with an interpreter that containers see too. */
import { readFile } from 'node:fs/promises';
import type { Platform } from '../../oci/index.js';

const FOLDER = '/proc/sys/fs/binfmt_misc';
/** qemu's own names, where they are not those of Go. */
const QEMU_NAMES: Readonly<Record<string, string>> = {
  amd64: 'x86_64',
  arm64: 'aarch64',
  '386': 'i386',
  loong64: 'loongarch64',
};

/** @param folder where binfmt_misc is mounted */
export async function emulates({ os, architecture }: Platform, folder = FOLDER): Promise<boolean> {
  if (os !== 'linux') return false;
  const name = QEMU_NAMES[architecture] ?? architecture;
  const entry = await readFile(`${folder}/qemu-${name}`, 'utf8').catch(() => '');
  // F: the interpreter was opened when it was registered, so it is found from inside a container.
  return entry.startsWith('enabled') && /^flags: .*F/m.test(entry);
}
