/** The operator's file of log groups. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { LogGroups } from '../../lib/host/embedded/log-groups.js';

const DAY_MS = 86_400_000;
let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wharf-groups-'));
  path = join(folder, 'log-groups.json');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('tells the retention of a group, of any other by *, and of none where there is no file', async () => {
  const groups = await LogGroups.open(path);
  expect((await groups.current())('/ecs/web')).toBeUndefined();
  await writeFile(path, JSON.stringify({ '/ecs/web': { retentionInDays: 14 } }));
  expect((await groups.current())('/ecs/web')).toBe(14 * DAY_MS);
  expect((await groups.current())('toString')).toBeUndefined();
  // Read anew: no restart is needed.
  await writeFile(path, JSON.stringify({ '/ecs/web': { retentionInDays: 0.5 }, '*': { retentionInDays: 2 } }));
  const now = await groups.current();
  expect([now('/ecs/web'), now('/ecs/other')]).toEqual([DAY_MS / 2, 2 * DAY_MS]);
});

test.each([
  ['{', 'it is not JSON'],
  ['{"/a": 3}', '"/a" has no retentionInDays'],
  ['{"/a": {"retentionInDays": 0}}', '"/a" has no retentionInDays'],
  ['{"/a": {"retentionInDays": 9999}}', '"/a" has no retentionInDays'],
  ['{"/a": {"retentionInDays": 3, "x": 1}}', '"/a" has no retentionInDays'],
])('%s is refused at the start', async (text, why) => {
  await writeFile(path, text);
  await expect(LogGroups.open(path)).rejects.toMatchObject({
    code: 'LOG_GROUPS_INVALID',
    message: expect.stringContaining(why) as unknown,
  });
});
