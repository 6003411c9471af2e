import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { mountOverlay, unmountOverlay } from '../../lib/runtime/index.js';
import { requireTools } from '../host-tools.js';

requireTools('root', 'mount').describe('a root of layers', () => {
  let directory: string;
  let target: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'wharf-test-overlay-'));
    target = join(directory, 'root');
    await mkdir(join(directory, 'layer'));
    await writeFile(join(directory, 'layer', 'file'), 'from below');
  });
  afterAll(async () => {
    await unmountOverlay(target);
    await rm(directory, { recursive: true, force: true });
  });

  const mounted = (work: string, discardable: boolean): Promise<void> =>
    mountOverlay({ directory, lowers: ['layer'], upper: 'upper', work, target, discardable });
  const options = async (): Promise<string> =>
    (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').find((line) => line.includes(` ${target} `)) ?? '';

  test('is synced like any other unless it may be discarded', async () => {
    await mounted('work', false);
    await expect(options()).resolves.toContain('upperdir=');
    await expect(options()).resolves.not.toContain('volatile');
    await unmountOverlay(target);
  });

  test('that may be discarded is mounted so that nothing of it is synced, and its work folder serves once', async () => {
    await mounted('work', true);
    await expect(options()).resolves.toContain('volatile');
    await writeFile(join(target, 'file'), 'changed');
    await unmountOverlay(target);
    await expect(mounted('work', true)).rejects.toMatchObject({ code: 'HOST_COMMAND_FAILED' });
    await rm(join(directory, 'work'), { recursive: true });
    await mounted('work', true);
    await expect(readFile(join(target, 'file'), 'utf8')).resolves.toBe('changed');
  });
});
