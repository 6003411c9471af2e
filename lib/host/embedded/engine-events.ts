/** Where a host's engine sends its events beside the control plane: a file in the data folder, and a webhook if asked. */
import { join } from 'node:path';
import { EventLogFile, type EventSink, EventWebhook } from '../../engine/event-sinks/index.js';
import type { Engine } from '../../engine/index.js';
import { AppError } from '../../errors/index.js';
import type { Clock, Logger } from '../../store/index.js';

export interface WebhookTarget {
  readonly url: string;
  /** What the signature is made with. */
  readonly secret: string;
}

/**
 * @returns the way to stop, once the engine has stopped
 * @throws AppError EVENTS_WEBHOOK_INVALID
 */
export function sendEvents(
  engine: Engine,
  deps: { readonly clock: Clock; readonly logger: Logger },
  { directory, webhook }: { readonly directory: string; readonly webhook?: WebhookTarget | undefined },
): () => Promise<void> {
  const logger = deps.logger.child({ part: 'events' });
  const sinks: EventSink[] = [new EventLogFile({ logger }, { path: join(directory, 'events', 'events.jsonl') })];
  if (webhook !== undefined) {
    checkWebhook(webhook);
    sinks.push(new EventWebhook({ clock: deps.clock, logger }, webhook));
  }
  const stopListening = engine.onEvent((event) => {
    for (const sink of sinks) sink.take(event);
  });
  return async () => {
    stopListening();
    await Promise.all(sinks.map((sink) => sink.close()));
  };
}

function checkWebhook({ url, secret }: WebhookTarget): void {
  const isHttp = URL.canParse(url) && ['http:', 'https:'].includes(new URL(url).protocol);
  if (isHttp && secret !== '') return;
  const what = isHttp ? 'its secret is missing' : `"${url}" is no http or https URL`;
  throw new AppError('EVENTS_WEBHOOK_INVALID', `events cannot be sent to the webhook: ${what}`, {
    hint: '--events-webhook https://…, with the secret in WHARF_EVENTS_SECRET',
  });
}
