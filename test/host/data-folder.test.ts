import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { DataFolder } from '../../lib/host/embedded/data-folder.js';

let place: string;
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), 'wharf-data-folder-'));
});
afterAll(() => rm(place, { recursive: true, force: true }));

describe('a data folder', () => {
  test('is made with what is above it, once, with keys for its owner alone', async () => {
    const path = join(place, 'a', 'b');
    const folder = await DataFolder.open(path);
    expect((await stat(join(path, 'keys'))).mode & 0o777).toBe(0o700);
    await expect(DataFolder.open(path)).rejects.toMatchObject({ code: 'DATA_FOLDER_IN_USE' });
    await folder.release();
    await (await DataFolder.open(path)).release();
  });

  test('cannot be a file', async () => {
    await writeFile(join(place, 'file'), '');
    for (const path of [join(place, 'file'), join(place, 'file', 'below')]) {
      await expect(DataFolder.open(path)).rejects.toMatchObject({ code: 'DATA_FOLDER_UNUSABLE' });
    }
  });

  // Node's mkdir with `recursive` never comes back from there.
  test('is refused at once where no folder can be made', async () => {
    await expect(DataFolder.open('/proc/wharf/data')).rejects.toMatchObject({
      code: 'DATA_FOLDER_UNUSABLE',
      message: expect.stringContaining('/proc/wharf/data: ENOENT'),
    });
  });
});
