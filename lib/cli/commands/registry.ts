/** `wharf registry`: what the registry holds, and whether all of it can be read back. */
import { AppError } from '../../errors/index.js';
import { formatBytes } from '../../http/text/index.js';
import type { CommandDeps } from '../deps.js';
import { printJson } from '../output.js';

export interface RegistryInput {
  readonly json?: boolean;
}

export async function registryStats({ json }: RegistryInput, { client, output }: CommandDeps): Promise<void> {
  const stats = await client.registry.stats();
  if (json === true) return printJson(output, stats);
  const { repositories, tags, manifests, blobs, logicalBytes, imageBytes, storedBytes, saving } = stats;
  output.result(`${repositories} repositories, ${tags} tags, ${manifests} manifests, ${blobs} blobs\n`);
  output.result(`images   ${formatBytes(logicalBytes)}, stored as ${formatBytes(imageBytes)}`);
  output.result(` (${Math.round(saving * 100)} % saved)\n`);
  output.result(`on disk  ${formatBytes(storedBytes)}, with what builds keep\n`);
}

/** @throws AppError REGISTRY_DAMAGED */
export async function verifyRegistry({ json }: RegistryInput, deps: CommandDeps): Promise<void> {
  const { client, output, interrupted } = deps;
  for await (const event of client.registry.verify({ signal: interrupted })) {
    if (json === true) printJson(output, event);
    else if (event.type === 'problem') output.result(`${event.message}\n`);
    if (event.type === 'problem') continue;
    const { blobs, bytes, manifests, problems } = event.totals;
    const summary = `${blobs} blobs (${formatBytes(bytes)}) and ${manifests} manifests read, ${problems} problems`;
    if (event.type === 'progress') {
      if (json !== true) output.say(`${summary} so far\n`);
      continue;
    }
    if (json !== true) output.result(`${summary}\n`);
    if (problems === 0) return;
    throw new AppError('REGISTRY_DAMAGED', `${problems} problems were found`, {
      kind: 'failed',
      hint: 'push or build these images again; what is missing is uploaded anew',
    });
  }
  throw new AppError('STREAM_LOST', 'the verification broke off', { kind: 'unavailable' });
}
