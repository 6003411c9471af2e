/** Who owns what a step makes: `--chown=name:group` and USER, names looked up in the target's own files. */
import { AppError } from '../../errors/index.js';
import type { ImageTree } from '../../layers/index.js';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export const ROOT: Owner = { uid: 0, gid: 0 };

const MAX_FILE_BYTES = 4 * 1024 * 1024;
const MAX_ID = 2 ** 32 - 2;

/**
 * `user[:group]`, each a name or a number. A number alone is also the group; a name alone takes the group of its
 * entry (llb.WithUser). Unlike BuildKit, which silently takes root, an unknown name is refused.
 * @throws AppError BUILD_OWNER_UNKNOWN
 */
export async function findOwner(tree: ImageTree, text: string): Promise<Owner> {
  const colon = text.indexOf(':');
  const user = colon < 0 ? text : text.slice(0, colon);
  const group = colon < 0 ? undefined : text.slice(colon + 1);
  const owner = await findUser(tree, user, text);
  return group === undefined || group === '' ? owner : { ...owner, gid: await findGroup(tree, group, text) };
}

async function findUser(tree: ImageTree, name: string, text: string): Promise<Owner> {
  const id = number(name, text);
  if (id !== undefined) return { uid: id, gid: id };
  const fields = await entry(tree, '/etc/passwd', name);
  if (fields === undefined) throw unknown('user', name, '/etc/passwd', text);
  return { uid: Number(fields[2]), gid: Number(fields[3]) };
}

async function findGroup(tree: ImageTree, name: string, text: string): Promise<number> {
  const id = number(name, text);
  if (id !== undefined) return id;
  const fields = await entry(tree, '/etc/group', name);
  if (fields === undefined) throw unknown('group', name, '/etc/group', text);
  return Number(fields[2]);
}

function number(part: string, text: string): number | undefined {
  if (!/^\d+$/.test(part)) return undefined;
  if (Number(part) <= MAX_ID) return Number(part);
  throw new AppError('BUILD_OWNER_UNKNOWN', `owner ${JSON.stringify(text)}: ${part} is too large`, {
    hint: `a number from 0 to ${MAX_ID}`,
  });
}

/** The line of that name, cut at colons; undefined when file or line are missing. */
async function entry(tree: ImageTree, path: string, name: string): Promise<readonly string[] | undefined> {
  const file = tree.lookup(path);
  if (file?.type !== 'file' || file.sizeBytes > MAX_FILE_BYTES) return undefined;
  const chunks: Uint8Array[] = [];
  for await (const chunk of tree.readFile(path)) chunks.push(chunk);
  for (const line of Buffer.concat(chunks).toString('utf8').split('\n')) {
    const fields = line.trim().split(':');
    if (fields[0] === name && /^\d+$/.test(fields[2] ?? '')) return fields;
  }
  return undefined;
}

function unknown(what: string, name: string, file: string, text: string): AppError {
  return new AppError(
    'BUILD_OWNER_UNKNOWN',
    `owner ${JSON.stringify(text)}: ${what} ${JSON.stringify(name)} has no entry in the image's ${file}`,
    { kind: 'failed', hint: 'create it in a RUN step before, or give numbers: 1000:1000' },
  );
}
