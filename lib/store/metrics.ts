/** Metrics for hosts without a metrics service: none at all, or as log lines. */
import type { Logger, Metrics } from './ports.js';

export const noMetrics: Metrics = {
  count() {},
  timing() {},
};

/** One debug line per measurement. */
export function loggerMetrics(logger: Logger): Metrics {
  return {
    count: (name, value = 1, dimensions = {}) => logger.debug('metric', { metric: name, count: value, ...dimensions }),
    timing: (name, milliseconds, dimensions = {}) =>
      logger.debug('metric', { metric: name, milliseconds, ...dimensions }),
  };
}
