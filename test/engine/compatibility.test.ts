/** The published matrix is the operation table, and the table is the service model's. */
import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { OPERATIONS, REFUSED, SERVED } from '../../lib/engine/api/operations.js';
import { compatibilityPage, PAGE } from '../../scripts/ecs-compatibility.js';

describe('the operation table', () => {
  test('is what docs/ecs-compatibility.md shows (npx tsx scripts/ecs-compatibility.ts)', async () => {
    expect(await readFile(PAGE, 'utf8')).toBe(compatibilityPage());
  });

  test('has every operation of the SDK, each either served or refused with a reason', async () => {
    const folder = new URL('../../node_modules/@aws-sdk/client-ecs/dist-types/commands', import.meta.url);
    const commands = (await readdir(folder)).flatMap((file) => /^(\w+)Command\.d\.ts$/.exec(file)?.[1] ?? []);
    expect([...OPERATIONS.keys()].sort()).toEqual(commands.sort());
    expect(Object.keys(REFUSED).filter((name) => name in SERVED)).toEqual([]);
    expect(Object.entries(REFUSED).filter(([, reason]) => reason === '')).toEqual([]);
  });
});
