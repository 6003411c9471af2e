/**
 * Who a container's process runs as: USER (`name`, `uid`, `name:group`, `uid:gid`) resolved in the container's own
 * /etc/passwd and /etc/group, with the rules of runc's GetExecUser: what is written in digits is always a number.
 */
import { constants } from 'node:fs';
import { lstat, open, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, errnoCode } from '../../errors/index.js';

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups: those that list the user, when no group was named. */
  readonly additionalGids: readonly number[];
  /** Home folder; `/` when the user has no entry. */
  readonly home: string;
  /** Absent for a number without an entry. */
  readonly name?: string;
}

const MAX_ID = 2 ** 31 - 1;

/**
 * @param user as in USER; empty is root
 * @param passwd text of /etc/passwd, empty when there is none
 * @param group text of /etc/group, empty when there is none
 * @throws AppError USER_UNKNOWN, GROUP_UNKNOWN, USER_INVALID
 */
export function resolveUser(user: string, passwd: string, group: string): ResolvedUser {
  const colon = user.indexOf(':');
  const userPart = colon < 0 ? user : user.slice(0, colon);
  const groupPart = colon < 0 ? '' : user.slice(colon + 1);
  const number = userPart === '' ? 0 : numericId(userPart, user);
  const entry = entries(passwd).find((fields) =>
    number === undefined ? fields[0] === userPart : fields[2] !== '' && Number(fields[2]) === number,
  );
  if (number === undefined && entry === undefined) {
    throw new AppError('USER_UNKNOWN', `user ${JSON.stringify(userPart)} has no entry in the image's /etc/passwd`, {
      kind: 'failed',
      hint: 'create the user in the image, or give a number: USER 1000:1000',
    });
  }
  const uid = number ?? Number(entry?.[2]);
  const name = entry?.[0];
  const groups = entries(group);
  return {
    uid,
    gid: groupPart === '' ? Number(entry?.[3] ?? 0) : namedGroup(groupPart, groups, user),
    additionalGids:
      groupPart !== '' || name === undefined
        ? []
        : groups.filter((fields) => (fields[3] ?? '').split(',').includes(name)).map((fields) => Number(fields[2])),
    home: entry?.[5] === undefined || entry[5] === '' ? '/' : entry[5],
    ...(name === undefined ? {} : { name }),
  };
}

function namedGroup(part: string, groups: readonly (readonly string[])[], user: string): number {
  const number = numericId(part, user);
  if (number !== undefined) return number;
  const entry = groups.find((fields) => fields[0] === part);
  if (entry !== undefined) return Number(entry[2]);
  throw new AppError('GROUP_UNKNOWN', `group ${JSON.stringify(part)} has no entry in the image's /etc/group`, {
    kind: 'failed',
    hint: 'create the group in the image, or give a number: USER 1000:1000',
  });
}

function numericId(part: string, user: string): number | undefined {
  if (!/^\d+$/.test(part)) return undefined;
  const id = Number(part);
  if (id <= MAX_ID) return id;
  throw new AppError('USER_INVALID', `user ${JSON.stringify(user)}: ${part} is too large`, {
    hint: `a number from 0 to ${MAX_ID}`,
  });
}

function entries(text: string): readonly (readonly string[])[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'))
    .filter((fields) => /^\d*$/.test(fields[2] ?? 'x'));
}

const MAX_USER_FILE_BYTES = 1024 * 1024;
const MAX_LINKS = 40;

/** Resolves `user` in the root of a container that is not running yet. */
export async function resolveUserIn(rootfs: string, user: string): Promise<ResolvedUser> {
  const [passwd, group] = await Promise.all(['etc/passwd', 'etc/group'].map((path) => readInRoot(rootfs, path)));
  return resolveUser(user, passwd ?? '', group ?? '');
}

/** Text of a regular file of the root, empty when absent. Links are followed inside the root only. */
async function readInRoot(rootfs: string, path: string): Promise<string> {
  const found = await resolveInRoot(rootfs, path, 'file');
  if (found === undefined) return '';
  const file = await open(join(rootfs, found), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.min(size, MAX_USER_FILE_BYTES));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    return buffer.subarray(0, bytesRead).toString('utf8');
  } finally {
    await file.close();
  }
}

/**
 * The path, relative to the root, with all links resolved as if `rootfs` were `/`. For a root that nobody changes
 * meanwhile. Undefined unless it ends at what is wanted.
 */
export async function resolveInRoot(
  rootfs: string,
  path: string,
  wanted: 'file' | 'directory',
): Promise<string | undefined> {
  let pending = path.split('/');
  const done: string[] = [];
  let links = 0;
  for (;;) {
    const next = pending.shift();
    if (next === undefined) return wanted === 'directory' ? done.join('/') : undefined;
    if (next === '' || next === '.') continue;
    if (next === '..') {
      done.pop();
      continue;
    }
    const here = join(rootfs, ...done, next);
    const stat = await lstat(here).catch((error: unknown) => {
      if (errnoCode(error) === 'ENOENT' || errnoCode(error) === 'ENOTDIR') return undefined;
      throw error;
    });
    if (stat === undefined) return undefined;
    if (stat.isSymbolicLink()) {
      links += 1;
      if (links > MAX_LINKS) return undefined;
      const target = await readlink(here);
      if (target.startsWith('/')) done.length = 0;
      pending = [...target.split('/'), ...pending];
      continue;
    }
    done.push(next);
    if (stat.isFile()) {
      const isEnd = wanted === 'file' && pending.every((part) => part === '' || part === '.');
      return isEnd ? done.join('/') : undefined;
    }
    if (!stat.isDirectory()) return undefined;
  }
}
