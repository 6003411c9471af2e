/** `wharf images history`, `rm`, `undelete` and `push`. */
import { AppError } from '../../errors/index.js';
import { formatBytes } from '../../http/text/index.js';
import { parseReference } from '../../oci/index.js';
import type { CommandDeps } from '../deps.js';
import { counted, formatAge, formatTable, printJson } from '../output.js';

export interface TagInput {
  /** repository[:tag] */
  readonly image: string;
  readonly json?: boolean;
}

export async function tagHistory({ image, json }: TagInput, { client, output, clock }: CommandDeps): Promise<void> {
  const { repository, tag } = named(image);
  const history = await client.tags.history(repository, tag);
  if (json === true) return printJson(output, { repository, tag, history });
  const rows = history.map(({ digest, atMs }) => [formatAge(clock.nowMs() - atMs), digest ?? 'deleted']);
  output.result(formatTable(['AGE', 'POINTED AT'], rows));
}

export async function removeTag({ image, json }: TagInput, { client, output }: CommandDeps): Promise<void> {
  const { repository, tag } = named(image);
  await client.tags.remove(repository, tag);
  if (json === true) return printJson(output, { repository, tag });
  output.result(`${repository}:${tag} is gone; for seven days: wharf images undelete ${repository}:${tag}\n`);
}

export async function undeleteTag(
  { image, digest, json }: TagInput & { readonly digest?: string },
  { client, output }: CommandDeps,
): Promise<void> {
  const { repository, tag } = named(image);
  const restored = await client.tags.undelete(repository, tag, digest);
  if (json === true) return printJson(output, { repository, tag, digest: restored.digest });
  output.result(`${repository}:${tag} is ${restored.digest}\n`);
}

export async function pushImage(
  { image, to, json, referrers = false }: TagInput & { readonly to: string; readonly referrers?: boolean },
  { client, output, interrupted }: CommandDeps,
): Promise<void> {
  for await (const event of client.tags.push(image, to, { referrers, signal: interrupted })) {
    if (json === true) printJson(output, event);
    else if (event.type === 'blob') {
      const what = { existed: 'is there', mounted: 'mounted', uploaded: 'sent' }[event.outcome];
      output.say(`${event.digest.slice(0, 19)} ${formatBytes(event.sizeBytes)} ${what}\n`);
    } else {
      const { blobsSent, blobsMounted, blobsThere, bytesSent, attached } = event;
      const along = referrers ? `; ${counted(attached, 'attached manifest')} taken along` : '';
      output.say(
        `${counted(blobsSent, 'blob')} sent (${formatBytes(bytesSent)}), ${blobsMounted} mounted, ${blobsThere} were there${along}\n`,
      );
      output.result(`${event.to}@${event.digest}\n`);
    }
  }
}

function named(image: string): { readonly repository: string; readonly tag: string } {
  const { registry, repository, tag = 'latest', digest } = parseReference(image);
  if (registry === undefined && digest === undefined) return { repository, tag };
  throw new AppError('IMAGE_NAME_INVALID', `${image} names no tag of this registry`, { hint: 'repository[:tag]' });
}
