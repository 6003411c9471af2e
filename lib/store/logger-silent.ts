/** A logger for those who do not care. */
import type { Logger } from './ports.js';

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
