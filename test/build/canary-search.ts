/** Looks for values in every byte that is stored below some folders, plain, unpacked and in other forms. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/**
 * @param word stands in what was stored on purpose, so that the search is known to find
 * @returns files with a canary in them, and how many files have the word
 */
export async function searchCanaries(
  roots: readonly string[],
  canaries: readonly string[],
  word: string,
): Promise<{ readonly hits: readonly string[]; readonly visible: number }> {
  const hits: string[] = [];
  let visible = 0;
  for (const root of roots) {
    for (const path of await filesBelow(root)) {
      const bytes = await readFile(path);
      const whole = [bytes, ...unpacked(bytes)];
      if (whole.some((each) => each.includes(word))) visible += 1;
      if (whole.some((each) => holdsCanary(each, canaries))) hits.push(path);
    }
  }
  return { hits, visible };
}

export function holdsCanary(bytes: Buffer, canaries: readonly string[]): boolean {
  return canaries.some((canary) => forms(canary).some((form) => bytes.includes(form)));
}

function forms(canary: string): string[] {
  return [canary, Buffer.from(canary).toString('base64').slice(0, -4), Buffer.from(canary).toString('hex')];
}

function unpacked(bytes: Buffer): Buffer[] {
  try {
    return [gunzipSync(bytes)];
  } catch {
    return [];
  }
}

async function filesBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.path, entry.name));
}
