/**
 * One run of a benchmark: a temporary folder for the peers' data, another for the raw figures, and the list of what has
 * to be undone. Interrupted or failed, everything is undone in reverse order; only the raw figures stay.
 */
import { appendFileSync, mkdtempSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';

type Undo = () => Promise<unknown>;

export class Session {
  /** Of the peers; on the disk that is measured. */
  readonly folder = mkdtempSync(join(tmpdir(), 'wharf-bench-'));
  /** Where the raw rounds are kept. */
  readonly results = mkdtempSync(join(tmpdir(), 'wharf-bench-results-'));
  private readonly undo: Undo[] = [() => rm(this.folder, { recursive: true, force: true })];
  private closing: Promise<void> | undefined;

  constructor() {
    const stop = (): void => void this.close().then(() => process.exit(130));
    process.once('SIGINT', stop).once('SIGTERM', stop);
  }

  /** Undone at the end, last first. */
  defer(step: Undo): void {
    this.undo.unshift(step);
  }

  /** A fresh folder for a peer. */
  async directory(name: string): Promise<string> {
    return mkdtemp(join(this.folder, `${name}-`));
  }

  /** Removes the data of peers that were stopped: rounds of large images would fill the disk. */
  async clear(exceptPrefix?: string): Promise<void> {
    for (const name of await readdir(this.folder)) {
      if (exceptPrefix !== undefined && name.startsWith(exceptPrefix)) continue;
      await rm(join(this.folder, name), { recursive: true, force: true });
    }
  }

  /** One line of JSON in the raw figures. */
  record(file: string, entry: object): void {
    appendFileSync(join(this.results, `${file}.jsonl`), `${JSON.stringify(entry)}\n`);
  }

  close(): Promise<void> {
    this.closing ??= this.undoAll();
    return this.closing;
  }

  private async undoAll(): Promise<void> {
    for (const step of this.undo) {
      await step().catch((error: unknown) => console.error('could not clean up:', error));
    }
    this.undo.length = 0;
  }
}

/** The machine in one line, with what it is busy with besides. */
export async function machine(): Promise<string> {
  const [model = 'unknown processor'] = cpus().map((cpu) => cpu.model);
  const kernel = (await readFile('/proc/sys/kernel/osrelease', 'utf8')).trim();
  const gigabytes = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} x ${model}, ${gigabytes} GiB, Linux ${kernel}, Node ${process.version}, load ${load()}`;
}

export function load(): string {
  return loadavg()
    .map((each) => each.toFixed(1))
    .join(' ');
}
