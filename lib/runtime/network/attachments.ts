/** Which containers are attached, with what: one file each in memory, written before anything is made for the container. */
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { namesNow, removeNow, textNow } from '../host/files-now.js';
import { netnsName, scopePaths } from '../host/host-scope.js';
import type { LinkedAddress } from './bridge-link.js';
import type { HostScope, PortMapping } from '../types.js';

export interface AttachmentRecord {
  readonly id: string;
  readonly ports: readonly PortMapping[];
  /** Absent while it is being made: after a crash such a record is undone, not believed. */
  readonly link?: LinkedAddress;
}

const ENDING = '.attachment';

export class Attachments {
  constructor(private readonly scope: HostScope) {}

  get(id: string): AttachmentRecord | undefined {
    const text = textNow(this.file(id));
    return text === '' ? undefined : (JSON.parse(text) as AttachmentRecord);
  }

  /** Whole, whenever we are killed. */
  write(record: AttachmentRecord): void {
    const file = this.file(record.id);
    mkdirSync(scopePaths.attachments(this.scope), { recursive: true, mode: 0o700 });
    writeFileSync(`${file}.tmp`, JSON.stringify(record));
    renameSync(`${file}.tmp`, file);
  }

  forget(id: string): void {
    removeNow(this.file(id));
  }

  private file(id: string): string {
    // The name is checked before it becomes a path.
    const name = netnsName(this.scope, id).slice(`wharf-${this.scope.id}-`.length);
    return join(scopePaths.attachments(this.scope), `${name}${ENDING}`);
  }
}

/** Ids that are attached, or were being attached when a process died. */
export function attachedIds(scope: HostScope): readonly string[] {
  const names = namesNow(scopePaths.attachments(scope));
  return names.filter((name) => name.endsWith(ENDING)).map((name) => name.slice(0, -ENDING.length));
}

export function hasNetns(scope: HostScope, id: string): boolean {
  return existsSync(scopePaths.netns(scope, id));
}
