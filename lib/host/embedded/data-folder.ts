/**
 * The data folder of an embedded platform: where its parts lie, who owns it now, and how clients on this machine find
 * it. One platform at a time may have a folder open; a lock left by a process that is gone is taken over.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, readlink, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { AppError, errnoCode } from '../../errors/index.js';

/** What a client on this machine needs to know; kept readable by the owner only, since it holds a token. */
export interface Connection {
  readonly url: string;
  readonly registry: string;
  readonly ecs: string;
  readonly token: string;
}

interface Owner {
  readonly pid: number;
  /** Clock ticks after boot at which the process started: tells it from a later one with the same id. */
  readonly startedTicks: string;
}

export class DataFolder {
  readonly directory: string;
  readonly paths: {
    readonly store: string;
    readonly records: string;
    readonly sealingKey: string;
    readonly layers: string;
    readonly runtime: string;
    /** Where git works for ADD and contexts. */
    readonly fetches: string;
    /** Written by the operator. */
    readonly taskRoles: string;
    /** Written by the operator. */
    readonly logGroups: string;
    /** What S3 ARNs of task definitions name, as `<bucket>/<key>`; written by the operator. */
    readonly objects: string;
  };

  private constructor(directory: string) {
    this.directory = directory;
    this.paths = {
      store: join(directory, 'store'),
      records: join(directory, 'records'),
      sealingKey: join(directory, 'keys', 'sealing.key'),
      layers: join(directory, 'layers'),
      runtime: join(directory, 'runtime'),
      fetches: join(directory, 'fetches'),
      objects: join(directory, 's3'),
      taskRoles: join(directory, 'task-roles.json'),
      logGroups: join(directory, 'log-groups.json'),
    };
  }

  /** @throws AppError DATA_FOLDER_IN_USE, DATA_FOLDER_UNUSABLE */
  static async open(path: string): Promise<DataFolder> {
    const folder = new DataFolder(resolve(path));
    try {
      await makeFolder(folder.directory, 0o711);
      await makeFolder(join(folder.directory, 'keys'), 0o700);
    } catch (error) {
      const why = errnoCode(error) ?? 'it is none';
      throw new AppError('DATA_FOLDER_UNUSABLE', `cannot make the data folder ${folder.directory}: ${why}`, {
        hint: 'a folder on a local disk that this user may write',
        cause: error,
      });
    }
    await folder.lock();
    return folder;
  }

  /** Lets another platform open the folder. */
  async release(): Promise<void> {
    await rm(this.lockPath, { force: true });
  }

  async readConnection(): Promise<Connection | undefined> {
    return readConnection(this.directory);
  }

  async writeConnection(connection: Connection): Promise<void> {
    const path = connectionPath(this.directory);
    await writeFile(`${path}.new`, `${JSON.stringify(connection, null, 2)}\n`, { mode: 0o600, flush: true });
    await rename(`${path}.new`, path);
  }

  private get lockPath(): string {
    return join(this.directory, 'platform.lock');
  }

  /**
   * The lock is a symbolic link whose target is its owner: made whole or not at all, also when the power goes, and on a
   * disk that has no room for a file, where something may have to be ended first.
   */
  private async lock(): Promise<void> {
    const mine: Owner = { pid: process.pid, startedTicks: (await startedTicks(process.pid)) ?? '' };
    for (;;) {
      try {
        await symlink(JSON.stringify(mine), this.lockPath);
        return;
      } catch (error) {
        if (errnoCode(error) !== 'EEXIST') throw error;
      }
      await this.takeOver();
    }
  }

  /** Removes a lock whose owner is gone. */
  private async takeOver(): Promise<void> {
    const text = await readOwner(this.lockPath);
    if (text === undefined) return;
    const owner = JSON.parse(text) as Owner;
    if ((await startedTicks(owner.pid)) === owner.startedTicks) {
      throw new AppError('DATA_FOLDER_IN_USE', `process ${owner.pid} runs a platform on ${this.directory}`, {
        kind: 'conflict',
        hint: 'stop it first, or give another folder with --data',
      });
    }
    await rm(this.lockPath, { force: true });
  }
}

/** Node's own `recursive` tries for ever where a folder that is there takes none in, as /proc. */
async function makeFolder(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    if (errnoCode(error) === 'EEXIST' && (await stat(path)).isDirectory()) return;
    if (errnoCode(error) !== 'ENOENT' || existsSync(dirname(path))) throw error;
    await makeFolder(dirname(path), mode);
    await makeFolder(path, mode);
  }
}

/** Undefined when nobody has the lock. */
async function readOwner(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    // It was a file once.
    return errnoCode(error) === 'EINVAL' ? readFile(path, 'utf8') : undefined;
  }
}

/** The platform that runs, or last ran, on a data folder; undefined when there was none or it is not ours to read. */
export async function readConnection(directory: string): Promise<Connection | undefined> {
  const text = await readFile(connectionPath(directory), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as Connection);
}

function connectionPath(directory: string): string {
  return join(directory, 'connection.json');
}

/** Field 22 of /proc/<pid>/stat; undefined when there is no such process. */
async function startedTicks(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The second field is the program's name in parentheses and may hold blanks.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}
