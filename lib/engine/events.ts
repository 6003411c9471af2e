/**
 * EventBridge-shaped events to whoever listens, in the order in which the engine wrote what they tell. Times inside are
 * ISO 8601, other than in the API. An event that a crash swallows is not sent again: listeners sweep, as on AWS.
 */
import type { Clock, Ids, Logger } from '../store/index.js';
import type { EngineEvent } from './types.js';

export class EventBus {
  readonly #listeners = new Set<(event: EngineEvent) => void>();

  constructor(
    private readonly deps: { readonly clock: Clock; readonly ids: Ids; readonly logger: Logger },
    private readonly options: { readonly region: string; readonly accountId: string },
  ) {}

  listen(listener: (event: EngineEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(
    type: EngineEvent['detail-type'],
    resources: readonly string[],
    detail: Readonly<Record<string, unknown>>,
  ): void {
    const hex = this.deps.ids.hex(16);
    const event: EngineEvent = {
      version: '0',
      id: hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
      'detail-type': type,
      source: 'aws.ecs',
      account: this.options.accountId,
      time: new Date(this.deps.clock.nowMs()).toISOString(),
      region: this.options.region,
      resources,
      detail,
    };
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        this.deps.logger.error('an event listener failed', { detailType: type, error: String(error) });
      }
    }
  }
}

const TIMES = /(At|Date)$/;

/** The API's shape with its epoch seconds turned into the ISO strings of an event. */
export function withIsoTimes(value: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([name, member]: [string, unknown]) => {
      if (typeof member === 'number' && TIMES.test(name)) return [name, new Date(member * 1000).toISOString()];
      return [name, member];
    }),
  );
}
