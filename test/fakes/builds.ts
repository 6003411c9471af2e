/** Builds whose course the test tells: the records and the log of the real ones, without a builder. */
import type {
  Build,
  BuildEvent,
  BuildRequest,
  Builds,
  LoggedBuildEvent,
  SubmitOptions,
} from '../../lib/build/index.js';
import type { Clock, Ids } from '../../lib/store/index.js';

export interface ToldBuilds extends Builds {
  readonly submitted: BuildRequest[];
  /** What came beside each request. */
  readonly options: SubmitOptions[];
  /** Adds an event to the log of a build; `finished` ends it. */
  tell(id: string, event: BuildEvent): void;
}

interface Entry {
  build: Build;
  readonly log: LoggedBuildEvent[];
  readonly waiting: Set<() => void>;
}

export function createToldBuilds(deps: { readonly clock: Clock; readonly ids: Ids }): ToldBuilds {
  const entries = new Map<string, Entry>();
  const byKey = new Map<string, string>();
  const submitted: BuildRequest[] = [];
  const given: SubmitOptions[] = [];
  return {
    submitted,
    options: given,
    submit(request, options = {}) {
      const { idempotencyKey } = options;
      const known = entries.get(byKey.get(idempotencyKey ?? '') ?? '');
      if (known !== undefined) return Promise.resolve(known.build);
      submitted.push(request);
      given.push(options);
      const build: Build = { id: deps.ids.ulid(), status: 'queued', request, createdMs: deps.clock.nowMs() };
      entries.set(build.id, { build, log: [], waiting: new Set() });
      if (idempotencyKey !== undefined) byKey.set(idempotencyKey, build.id);
      return Promise.resolve(build);
    },
    get: (id) => Promise.resolve(entries.get(id)?.build),
    list: ({ limit = 100 } = {}) =>
      Promise.resolve({
        builds: [...entries.values()]
          .map(({ build }) => build)
          .reverse()
          .slice(0, limit),
      }),
    cancel(id) {
      const entry = entries.get(id);
      if (entry === undefined) return Promise.resolve(undefined);
      if (entry.build.finishedMs === undefined) this.tell(id, { type: 'finished', status: 'cancelled' });
      return Promise.resolve(entry.build);
    },
    async *follow(id, after, signal) {
      const entry = entries.get(id);
      if (entry === undefined) return;
      for (let next = after; ; next += 1) {
        while (entry.log[next] === undefined) {
          if (entry.build.finishedMs !== undefined || signal?.aborted === true) return;
          await new Promise<void>((resolve) => {
            entry.waiting.add(resolve);
            signal?.addEventListener('abort', () => resolve(), { once: true });
          });
        }
        const event = entry.log[next];
        if (event === undefined) return;
        yield event;
        if (event.event.type === 'finished') return;
      }
    },
    tell(id, event) {
      const entry = entries.get(id);
      if (entry === undefined) throw new Error(`no build ${id}`);
      const timeMs = deps.clock.nowMs();
      entry.log.push({ sequence: entry.log.length + 1, timeMs, event });
      if (event.type === 'finished') {
        const { status, result, report, error } = event;
        const ended = {
          ...(result === undefined ? {} : { result }),
          ...(report === undefined ? {} : { report }),
          ...(error === undefined ? {} : { error }),
        };
        entry.build = { ...entry.build, status, finishedMs: timeMs, ...ended };
      }
      for (const wake of entry.waiting) wake();
      entry.waiting.clear();
    },
  };
}
