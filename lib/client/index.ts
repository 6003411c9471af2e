export type { ContextAnswer, TarBuild } from './build-query.js';
export { BuildCalls, type GivenSecrets } from './build-calls.js';
export * from './client.js';
export * from './views.js';
export type { ExecCall, RemoteExec } from './exec-session.js';
export { follow, parseEvents, type FollowOptions, type StreamedEvent } from './event-stream.js';
export { type HttpCall, httpCall } from './http-call.js';
export { errorOf, Transport, type TransportOptions } from './transport.js';
