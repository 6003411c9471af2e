/** `wharf down`: what a stopped platform left running on this machine ends. */
import { existsSync } from 'node:fs';
import { dataFolder } from '../connection.js';
import type { CliDeps } from '../deps.js';
import { counted, printJson } from '../output.js';

export async function down(input: { readonly data?: string; readonly json?: boolean }, deps: CliDeps): Promise<void> {
  const folder = dataFolder(deps.cwd, input);
  const { containers } = await deps.takeDown(folder);
  if (input.json === true) return printJson(deps.output, { containers });
  deps.output.result(`${counted(containers, 'container')} taken away\n`);
  if (existsSync(folder))
    deps.output.say(`images, records and secrets stay in ${folder}; deleting it ends them, too\n`);
}
