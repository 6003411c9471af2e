/**
 * What the agent writes down about a task before it does it: one small file per task. After a kill the file and the
 * host together tell how far each container came.
 */
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoCode } from '../../errors/index.js';
import { removeTree } from '../../layers/index.js';
import type { Digest } from '../../oci/index.js';
import type { HostScope } from '../../runtime/index.js';
import type { AgentEvent, NetworkBinding } from './types.js';
import type { VolumeMount } from './volumes.js';

export interface ContainerRecord {
  readonly runtimeId: string;
  /**
   * `preparing`: something of it may be on the host, and is made anew. `created`: it waits for its start. `starting`: written before the
   * start, so from here on it is never started by anyone who finds it gone. `restarting`: it ended, and is set up again.
   * `stopped`: the end, nothing of it is left but its log.
   */
  readonly phase: 'preparing' | 'created' | 'starting' | 'started' | 'restarting' | 'stopped';
  readonly imageDigest?: Digest;
  /** Digest of the image's config. */
  readonly imageId?: Digest;
  /** Of the image, as written there. */
  readonly stopSignal?: string;
  /** Of the image, for health checks of the form CMD-SHELL. */
  readonly shell?: readonly string[];
  /** Whose retention its lines have. */
  readonly logGroup?: string;
  readonly bindings: readonly NetworkBinding[];
  readonly address?: string;
  readonly macAddress?: string;
  /** What it mounts, once that is ready: for others' `volumesFrom`. */
  readonly mounts?: readonly VolumeMount[];
  readonly restarts?: number;
  readonly createdMs?: number;
  /** Of the last start. */
  readonly startedMs?: number;
  readonly stoppedMs?: number;
  readonly exitCode?: number;
  readonly reason?: string;
}

export type TaskEnding = Pick<Extract<AgentEvent, { type: 'task-stopped' }>, 'stopCode' | 'reason'>;

/** What containers of a task are known by at the task endpoint: nobody guesses one. */
export interface EndpointIds {
  /** By the container's name. */
  readonly containers: Readonly<Record<string, string>>;
  /** Where the task's role has credentials. */
  readonly credentials?: string;
}

export interface TaskRecord {
  readonly taskId: string;
  /** Made before the first container, and then never changed: they stand in the containers' environments. */
  readonly endpoints?: EndpointIds;
  readonly pullStartedMs?: number;
  readonly pullStoppedMs?: number;
  readonly containers: Readonly<Record<string, ContainerRecord>>;
  /** Why the task ends, once that is decided. */
  readonly ending?: TaskEnding;
  /** When everything of the task was gone. Its logs stay for a while. */
  readonly finishedMs?: number;
}

export class TaskRecords {
  readonly directory: string;
  private isMade = false;

  constructor(scope: HostScope) {
    this.directory = join(scope.directory, 'tasks');
  }

  /** Folder of what a task's containers write; gone with the task. */
  folder(taskId: string): string {
    return join(this.directory, taskId);
  }

  async load(taskId: string): Promise<TaskRecord | undefined> {
    try {
      return JSON.parse(await readFile(this.file(taskId), 'utf8')) as TaskRecord;
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** As `load`, for a caller that must answer at once. */
  loadNow(taskId: string): TaskRecord | undefined {
    const file = this.file(taskId);
    return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as TaskRecord) : undefined;
  }

  /** Whole or not at all, and on disk before this resolves. One save at a time per task. */
  async save(record: TaskRecord): Promise<void> {
    if (!this.isMade) await mkdir(this.directory, { recursive: true, mode: 0o711 });
    this.isMade = true;
    const temporary = `${this.file(record.taskId)}.tmp`;
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(JSON.stringify(record));
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(temporary, this.file(record.taskId));
  }

  async remove(taskId: string): Promise<void> {
    await rm(this.file(taskId), { force: true });
  }

  /** Ids of all tasks with a record. */
  async list(): Promise<readonly string[]> {
    const names = await readdir(this.directory).catch(() => [] as string[]);
    return names.flatMap((name) => (/^[0-9a-f]{32}\.json$/.test(name) ? [name.slice(0, 32)] : []));
  }

  private file(taskId: string): string {
    return join(this.directory, `${taskId}.json`);
  }
}

/** What the containers of all tasks wrote, once none is left: the tasks have ended with them. Records and logs stay. */
export async function removeTaskFolders(scope: HostScope): Promise<void> {
  const { directory } = new TaskRecords(scope);
  for (const name of await readdir(directory).catch(() => [] as string[])) {
    if (/^[0-9a-f]{32}$/.test(name)) await removeTree(join(directory, name));
  }
}
