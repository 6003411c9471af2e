import { expect, test } from '@jest/globals';
import { textLogger } from '../../lib/store/system/logger-text-system.js';

test('a terminal gets warnings and errors as sentences, with what is short enough of their fields', () => {
  const lines: string[] = [];
  const logger = textLogger({ write: (text) => lines.push(text) }).child({ part: 'agent' });
  logger.debug('not this');
  logger.info('nor this');
  logger.warn('runc is old', { version: '1.1.5', list: [1], long: 'x'.repeat(500) });
  logger.error('a step failed', { error: new Error('no room'), taskId: 'ab' });
  expect(lines).toEqual([
    'warning: runc is old (part agent, version 1.1.5)\n',
    'error: a step failed (part agent, no room, taskId ab)\n',
  ]);
});
