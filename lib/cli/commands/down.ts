/** `wharf down`: what a stopped platform left running on this machine ends. */
import { dataFolder } from '../connection.js';
import type { CliDeps } from '../deps.js';
import { counted, printJson } from '../output.js';

export async function down(input: { readonly data?: string; readonly json?: boolean }, deps: CliDeps): Promise<void> {
  const { containers } = await deps.takeDown(dataFolder(deps.cwd, input));
  if (input.json === true) return printJson(deps.output, { containers });
  deps.output.result(`${counted(containers, 'container')} taken away\n`);
}
