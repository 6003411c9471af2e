/**
 * A file system in memory that a power failure treats as a disk may: bytes that were not synced are old, gone or zeros;
 * names that were not synced are there or not, each file by itself; a rename happens as a whole. It can die at any
 * operation that changes something: from then on nothing is answered.
 */
import { basename, dirname } from 'node:path';
import type { Files, OpenFile } from '../../lib/store/folder/files-fs.js';

interface FileNode {
  readonly kind: 'file';
  bytes: Buffer;
  durable: Buffer;
}
interface FolderNode {
  readonly kind: 'folder';
  readonly names: Map<string, Node>;
  durable: Map<string, Node>;
}
type Node = FileNode | FolderNode;

/** What is left out, to see that it is missed. */
export interface Sabotage {
  readonly skipsFileSync?: boolean;
  readonly skipsFolderSync?: boolean;
  readonly skipsSyncedWrites?: boolean;
}

/** Gives 0 to below 1. */
export type Chance = () => number;

export class ForgetfulFiles implements Files {
  /** Operations that changed something, or synced it. */
  operations = 0;
  private dieAt = Infinity;
  private onDeath: () => void = () => {};
  private readonly renames: { from: FolderNode; to: FolderNode; old: string; node: Node }[] = [];

  constructor(
    private readonly sabotage: Sabotage = {},
    private readonly root: FolderNode = folder(),
  ) {}

  /** Dies before this operation, 1 is the first. Resolves when it has. */
  death(operation: number): Promise<void> {
    this.dieAt = operation;
    return new Promise((resolve) => (this.onDeath = resolve));
  }

  /** What is on disk after a power failure now. @param chance decides over what was not synced; absent: it is lost */
  afterPowerFailure(chance?: Chance): ForgetfulFiles {
    const fates = new Map<Node, boolean>();
    const isKept = (node: Node): boolean => {
      if (chance === undefined) return false;
      if (!fates.has(node)) fates.set(node, chance() < 0.5);
      return fates.get(node) === true;
    };
    return new ForgetfulFiles(this.sabotage, survivor(this.root, isKept, chance));
  }

  async open(path: string, flags: string): Promise<OpenFile> {
    const existing = this.find(path);
    if (existing?.kind === 'folder') return this.openFolder(existing);
    if (existing !== undefined && flags === 'wx') throw failure('EEXIST', path);
    if (existing === undefined && (flags === 'r' || flags === 'r+')) throw failure('ENOENT', path);
    const node: FileNode = existing ?? { kind: 'file', bytes: Buffer.alloc(0), durable: Buffer.alloc(0) };
    if (existing === undefined || flags === 'w+') {
      await this.change(() => {
        node.bytes = Buffer.alloc(0);
        this.folderOf(path).names.set(basename(path), node);
      });
    }
    return this.openFile(node, flags === 'as');
  }

  async mkdir(path: string): Promise<string | undefined> {
    if (this.find(path) !== undefined) return undefined;
    const above = dirname(path) === path ? undefined : await this.mkdir(dirname(path));
    await this.change(() => this.folderOf(path).names.set(basename(path), folder()));
    return above ?? path;
  }

  async rename(from: string, to: string): Promise<void> {
    await this.change(() => {
      const node = this.find(from);
      if (node === undefined) throw failure('ENOENT', from);
      const [source, target] = [this.folderOf(from), this.folderOf(to)];
      source.names.delete(basename(from));
      target.names.set(basename(to), node);
      this.renames.push({ from: source, to: target, old: basename(from), node });
    });
  }

  async unlink(path: string): Promise<void> {
    await this.change(() => {
      if (!this.folderOf(path).names.delete(basename(path))) throw failure('ENOENT', path);
    });
  }

  async rm(path: string): Promise<void> {
    if (this.find(path) !== undefined) await this.unlink(path);
  }

  async readdir(path: string): Promise<string[]> {
    const node = this.find(path);
    if (node?.kind !== 'folder') throw failure('ENOENT', path);
    return [...node.names.keys()];
  }

  async stat(path: string): Promise<{ size: number; mtimeMs: number }> {
    const node = this.find(path);
    if (node === undefined) throw failure('ENOENT', path);
    return { size: node.kind === 'file' ? node.bytes.length : 0, mtimeMs: 0 };
  }

  private openFile(node: FileNode, isSynced: boolean): OpenFile {
    const sync = (): void => {
      node.durable = Buffer.from(node.bytes);
    };
    const resize = (size: number): void => {
      node.bytes = Buffer.concat([node.bytes, Buffer.alloc(Math.max(0, size - node.bytes.length))]).subarray(0, size);
    };
    const synced = (): Promise<void> => this.change(() => this.sabotage.skipsFileSync !== true && sync());
    return {
      read: async (buffer, offset, length, position) => ({
        bytesRead: node.bytes.copy(buffer, offset, position, position + length),
      }),
      write: async (buffer, offset, length, position) => {
        await this.change(() => {
          const at = position ?? node.bytes.length;
          node.bytes = Buffer.from(node.bytes);
          resize(Math.max(node.bytes.length, at + length));
          Buffer.from(buffer).copy(node.bytes, at, offset, offset + length);
          if (isSynced && this.sabotage.skipsSyncedWrites !== true) sync();
        });
        return { bytesWritten: length };
      },
      truncate: (size) => this.change(() => resize(size)),
      sync: synced,
      datasync: synced,
      stat: async () => ({ size: node.bytes.length }),
      close: async () => {},
    };
  }

  private openFolder(node: FolderNode): OpenFile {
    const sync = (): void => {
      if (this.sabotage.skipsFolderSync === true) return;
      node.durable = new Map(node.names);
      for (const { from, to, old, node: moved } of this.renames) {
        if (to === node && from.durable.get(old) === moved) from.durable.delete(old);
      }
    };
    const none = (): never => {
      throw failure('EISDIR', 'a folder');
    };
    return {
      read: none,
      write: none,
      truncate: none,
      sync: () => this.change(sync),
      datasync: () => this.change(sync),
      stat: async () => ({ size: 0 }),
      close: async () => {},
    };
  }

  private async change(work: () => unknown): Promise<void> {
    // Others get their turn between any two operations.
    await new Promise(setImmediate);
    this.operations += 1;
    if (this.operations >= this.dieAt) {
      this.onDeath();
      return new Promise(() => {});
    }
    work();
  }

  private find(path: string): Node | undefined {
    const parts = path.split('/').filter((part) => part !== '');
    return parts.reduce<Node | undefined>(
      (node, part) => (node?.kind === 'folder' ? node.names.get(part) : undefined),
      this.root,
    );
  }

  private folderOf(path: string): FolderNode {
    const node = this.find(dirname(path));
    if (node?.kind !== 'folder') throw failure('ENOENT', path);
    return node;
  }
}

function folder(): FolderNode {
  return { kind: 'folder', names: new Map(), durable: new Map() };
}

/** A copy of what survives, in which all is durable. */
function survivor(node: FolderNode, isKept: (node: Node) => boolean, chance?: Chance): FolderNode {
  const names = new Map<string, Node>();
  for (const name of new Set([...node.durable.keys(), ...node.names.keys()])) {
    const [old, now] = [node.durable.get(name), node.names.get(name)];
    const left = old === now ? now : isKept((now ?? old) as Node) ? now : old;
    if (left === undefined) continue;
    names.set(name, left.kind === 'folder' ? survivor(left, isKept, chance) : remains(left, chance));
  }
  return { kind: 'folder', names, durable: new Map(names) };
}

function remains({ bytes, durable }: FileNode, chance?: Chance): FileNode {
  const fate = chance?.() ?? 0;
  const zeros = Buffer.concat([durable, Buffer.alloc(Math.max(0, bytes.length - durable.length))]);
  const left = Buffer.from(fate < 0.4 ? durable : fate < 0.7 ? bytes : zeros);
  return { kind: 'file', bytes: left, durable: left };
}

function failure(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}
