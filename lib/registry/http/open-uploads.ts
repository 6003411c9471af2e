/**
 * How many uploads each caller has open. Every session is a file or an object that waits for a week, so one client that
 * starts them and never ends them must not fill the store. Counted where they were started: another process of the
 * installation, and the next life of this one, count anew.
 */
import { AppError } from '../../errors/index.js';
import type { Clock } from '../../store/index.js';

interface OpenUpload {
  readonly caller: string;
  readonly startedMs: number;
}

/** Clients push a few layers at once; an agent that pushes a hundred images at once stays far below. */
const MAX_OPEN = 1000;
/** The collector aborts older ones. */
const LIFE_MS = 7 * 24 * 60 * 60 * 1000;

export class OpenUploads {
  /** By session, in the order in which they were started. */
  private readonly open = new Map<string, OpenUpload>();
  private readonly counts = new Map<string, number>();

  constructor(
    private readonly clock: Clock,
    private readonly limit = MAX_OPEN,
  ) {}

  /** @throws AppError UPLOADS_TOO_MANY */
  checkRoom(caller: string): void {
    if ((this.counts.get(caller) ?? 0) < this.limit) return;
    const oldest = this.clock.nowMs() - LIFE_MS;
    for (const [session, { startedMs }] of this.open) {
      if (startedMs > oldest) break;
      this.ended(session);
    }
    if ((this.counts.get(caller) ?? 0) < this.limit) return;
    throw new AppError('UPLOADS_TOO_MANY', `${caller} has ${this.limit} uploads open`, {
      kind: 'limited',
      hint: 'end them with PUT or DELETE; those that are not ended go a week after their start',
    });
  }

  started(caller: string, session: string): void {
    this.open.set(session, { caller, startedMs: this.clock.nowMs() });
    this.counts.set(caller, (this.counts.get(caller) ?? 0) + 1);
  }

  /** Committed, cancelled or gone. */
  ended(session: string): void {
    const upload = this.open.get(session);
    if (upload === undefined) return;
    this.open.delete(session);
    const left = (this.counts.get(upload.caller) ?? 1) - 1;
    if (left > 0) this.counts.set(upload.caller, left);
    else this.counts.delete(upload.caller);
  }
}
