/**
 * The runtime makes an empty file or folder in the root for every mount point that is absent (`/etc/resolv.conf`,
 * a cache). A build step must not leave those in its layer: this remembers what was absent and removes it afterwards,
 * if it is still empty, and gives the folders around it their times back.
 */
import { lstat, rmdir, unlink, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * @param destinations absolute paths inside the root
 * @returns removes the stubs; call it when the container is gone and the root is still mounted
 */
export async function rememberMountStubs(
  rootfs: string,
  destinations: readonly string[],
): Promise<() => Promise<void>> {
  const absent = new Set<string>();
  const times = new Map<string, { readonly atime: Date; readonly mtime: Date }>();
  for (const destination of destinations) {
    const parts = destination.split('/').filter((part) => part !== '');
    for (let length = parts.length; length >= 0; length -= 1) {
      const path = join(rootfs, ...parts.slice(0, length));
      const stat = await lstat(path).catch(() => undefined);
      if (stat !== undefined) {
        if (length < parts.length && stat.isDirectory()) times.set(path, { atime: stat.atime, mtime: stat.mtime });
        // Behind a link anything may lie: leave it alone.
        if (!stat.isDirectory()) for (const rest of lengthened(path, parts, length)) absent.delete(rest);
        break;
      }
      absent.add(path);
    }
  }
  return async () => {
    const deepestFirst = [...absent].sort((a, b) => b.length - a.length);
    const touched = new Set<string>();
    for (const path of deepestFirst) {
      const stat = await lstat(path).catch(() => undefined);
      if (stat === undefined) continue;
      if (stat.isDirectory()) await rmdir(path).catch(() => undefined);
      else if (stat.isFile() && stat.size === 0) await unlink(path);
      touched.add(dirname(path));
    }
    for (const [path, time] of times) {
      if (touched.has(path)) await utimes(path, time.atime, time.mtime);
    }
  };
}

function lengthened(path: string, parts: readonly string[], from: number): string[] {
  return parts.slice(from).map((_, i) => join(path, ...parts.slice(from, from + i + 1)));
}
