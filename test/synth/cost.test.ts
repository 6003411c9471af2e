/** The cost page is what the table of prices gives, and its sums are sums. */
import { spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';
import { idleMonth, idleSentence, total, WHOLE_PLATFORM } from '../../lib/constructs/cost.js';

test('the cost page is as the prices give it', () => {
  const run = spawnSync(process.execPath, ['--import', 'tsx', 'scripts/aws-cost.ts', '--check'], { encoding: 'utf8' });
  expect([run.status, run.stderr]).toEqual([0, '']);
}, 60_000);

test('an instance that stays is most of the bill, and none is none of it', () => {
  const none = total(idleMonth(WHOLE_PLATFORM));
  const one = total(idleMonth({ ...WHOLE_PLATFORM, minInstances: 1 }));
  const two = total(idleMonth({ ...WHOLE_PLATFORM, minInstances: 2 }));
  expect(one - none).toBeCloseTo(two - one, 6);
  expect(one).toBeGreaterThan(5 * none);
  expect(idleSentence(WHOLE_PLATFORM)).toContain(`US$ ${none.toFixed(2)} a month`);
});
