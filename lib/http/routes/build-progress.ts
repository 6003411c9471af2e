/** A build while it goes on: as events that a client can resume, or as text for people. */
import * as z from 'zod';
import type { Build } from '../../build/index.js';
import type { ApiDeps, ApiOptions } from '../api-deps.js';
import { parseWith } from '../input.js';
import type { Call } from '../route.js';
import { sseResponse, textResponse } from '../sse.js';
import { BuildText } from '../text/index.js';
import { streamOptions } from './stream-options.js';

export function buildAsEvents(deps: ApiDeps, options: ApiOptions, build: Build, call: Call, after: number): Response {
  async function* events(signal: AbortSignal) {
    for await (const logged of deps.builds.follow(build.id, after, signal)) {
      yield { id: String(logged.sequence), event: logged.event.type, data: logged };
    }
  }
  return sseResponse(events, streamOptions(deps, options, call));
}

export function buildAsText(deps: ApiDeps, options: ApiOptions, build: Build, call: Call): Response {
  async function* lines(signal: AbortSignal) {
    const text = new BuildText();
    yield `build ${build.id}\n`;
    for await (const logged of deps.builds.follow(build.id, 0, signal)) {
      yield text.format(logged);
    }
  }
  const response = textResponse(lines, streamOptions(deps, options, call));
  response.headers.set('location', `/v1/builds/${build.id}`);
  return response;
}

/** The sequence to go on after. @throws AppError REQUEST_INVALID */
export function lastEventId(call: Call): number | undefined {
  const text = call.request.headers.get('last-event-id');
  if (text === null || text === '') return undefined;
  return parseWith(z.coerce.number().int().min(0), text, 'header Last-Event-ID');
}
