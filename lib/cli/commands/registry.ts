/** `wharf registry`: what the registry holds, and whether all of it can be read back. */
import { AppError } from '../../errors/index.js';
import { formatBytes } from '../../http/text/index.js';
import type { CommandDeps } from '../deps.js';
import { counted, printJson } from '../output.js';

export interface RegistryInput {
  readonly json?: boolean;
}

export async function registryStats({ json }: RegistryInput, { client, output }: CommandDeps): Promise<void> {
  const stats = await client.registry.stats();
  if (json === true) return printJson(output, stats);
  const { repositories, tags, manifests, blobs, logicalBytes, imageBytes, storedBytes, saving } = stats;
  const held = [
    counted(repositories, 'repository', 'repositories'),
    counted(tags, 'tag'),
    counted(manifests, 'manifest'),
  ];
  output.result(`${held.join(', ')}, ${counted(blobs, 'blob')}\n`);
  output.result(`images   ${formatBytes(logicalBytes)}, stored as ${formatBytes(imageBytes)}`);
  output.result(` (${Math.round(saving * 100)} % saved)\n`);
  output.result(`on disk  ${formatBytes(storedBytes)}, with what builds keep\n`);
}

/** @throws AppError REGISTRY_DAMAGED */
export async function verifyRegistry(
  { json, repair = false }: RegistryInput & { readonly repair?: boolean },
  deps: CommandDeps,
): Promise<void> {
  const { client, output, interrupted } = deps;
  let canRepair = false;
  for await (const event of client.registry.verify({ repair, signal: interrupted })) {
    if (json === true) printJson(output, event);
    else if (event.type === 'problem') output.result(`${event.message}\n`);
    if (event.type === 'problem') {
      canRepair ||= event.kind === 'blob-corrupt' || event.kind === 'blob-missing';
      continue;
    }
    const { blobs, bytes, manifests, problems } = event.totals;
    const summary = [
      `${counted(blobs, 'blob')} (${formatBytes(bytes)}) and ${counted(manifests, 'manifest')} read`,
      counted(problems, 'problem'),
    ].join(', ');
    if (event.type === 'progress') {
      if (json !== true) output.say(`${summary} so far\n`);
      continue;
    }
    if (json !== true) output.result(`${summary}\n`);
    if (problems === 0) return;
    throw new AppError('REGISTRY_DAMAGED', `${counted(problems, 'problem')} found`, {
      kind: 'failed',
      hint: verifyHint(repair, canRepair),
    });
  }
  throw new AppError('STREAM_LOST', 'the verification broke off', { kind: 'unavailable' });
}

/** @param canRepair there are damaged blobs, and not only images that lack what was taken out of use before */
function verifyHint(isRepaired: boolean, canRepair: boolean): string {
  if (!canRepair) return 'push or build these images again, or remove them (wharf images rm)';
  return isRepaired
    ? 'push or build these images again: what was damaged is out of use, and is sent anew'
    : 'wharf registry verify --repair takes damaged blobs out of use; then push or build these images again';
}
