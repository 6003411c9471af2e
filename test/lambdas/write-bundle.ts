/** A function's code in a folder, as an asset of CDK has it. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleFunction } from '../../lib/constructs/function-bundle.js';

export async function writeBundle(entry: string, folder: string): Promise<void> {
  await Promise.all(bundleFunction(entry).files.map(({ name, text }) => writeFile(join(folder, name), text)));
}
