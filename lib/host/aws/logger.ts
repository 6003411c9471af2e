/** Lines of a function and of what runs beside it: JSON, with the ids of what is under way, and stacks of the sources. */
import type { Clock, Logger } from '../../store/index.js';
import { jsonLogger } from '../../store/system/logger-json-system.js';
import { contextLogger } from './log-context.js';
import { inSources } from './source-positions.js';

export function openAwsLogger(clock: Clock): Logger {
  return contextLogger(jsonLogger({ stream: process.stdout, clock }, { tellStack: inSources }));
}
