export { EventLogFile, type EventLogOptions } from './event-log-fs.js';
export type { EventSink } from './event-sink.js';
export { EventWebhook, type EventWebhookDeps, type EventWebhookOptions } from './event-webhook.js';
