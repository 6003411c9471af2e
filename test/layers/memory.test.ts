import { execFileSync } from 'node:child_process';
import { expect, test } from '@jest/globals';

test('a layer of 200 MB is written, indexed, read and unpacked within 100 MB of memory', () => {
  const output = execFileSync(process.execPath, ['--import', 'tsx', 'test/layers/stream-large-layer.ts'], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const figures = JSON.parse(output) as { uncompressedBytes: number; read: number; grownBytes: number };
  expect(figures.uncompressedBytes).toBeGreaterThan(200 * 1024 * 1024);
  expect(figures.read).toBe(200 * 1024 * 1024);
  expect(figures.grownBytes).toBeLessThan(100 * 1024 * 1024);
});
