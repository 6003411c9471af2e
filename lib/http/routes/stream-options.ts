/** How answers that go on are kept open, and who is told when they break off. */
import type { ApiDeps, ApiOptions } from '../api-deps.js';
import type { Call } from '../route.js';
import type { StreamOptions } from '../sse.js';

export function streamOptions(deps: ApiDeps, options: ApiOptions, call: Call): StreamOptions {
  return {
    clock: deps.clock,
    signal: call.signal,
    ...(options.heartbeatMs === undefined ? {} : { heartbeatMs: options.heartbeatMs }),
    onError: (error) => deps.logger.error('a stream broke off', { requestId: call.requestId, error }),
  };
}
