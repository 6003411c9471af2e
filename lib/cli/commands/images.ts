/** `wharf images`: all tags, or what is inside one image. */
import { formatBytes } from '../../http/text/index.js';
import { type Descriptor, formatPlatform } from '../../oci/index.js';
import type { CommandDeps } from '../deps.js';
import { counted, formatAge, formatTable, printJson } from '../output.js';

export interface ImagesInput {
  readonly reference?: string;
  readonly json?: boolean;
}

export async function images(input: ImagesInput, deps: CommandDeps): Promise<void> {
  if (input.reference !== undefined) return showImage(input.reference, input, deps);
  const { client, output, clock } = deps;
  const found = [];
  let cursor: string | undefined;
  do {
    const page = await client.images.repositories({ limit: 1000, ...(cursor === undefined ? {} : { cursor }) });
    for (const repository of page.repositories) {
      for (const tag of await client.images.tags(repository)) found.push({ repository, ...tag });
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
  if (input.json === true) return printJson(output, { images: found });
  const rows = found.map((image) => [
    image.repository,
    image.tag,
    image.digest.slice(0, 19),
    formatAge(clock.nowMs() - image.updatedMs),
  ]);
  output.result(formatTable(['REPOSITORY', 'TAG', 'DIGEST', 'AGE'], rows));
}

async function showImage(reference: string, input: ImagesInput, { client, output }: CommandDeps): Promise<void> {
  const image = await client.images.get(reference);
  if (input.json === true) return printJson(output, image);
  output.result(`${image.repository}@${image.digest}\n`);
  if (image.manifests !== undefined)
    return output.result(formatTable(['PLATFORM', 'MANIFEST'], rowsOf(image.manifests)));
  output.result(
    `platform ${image.platform ?? 'several'}, ${formatBytes(image.sizeBytes)} in ${counted(image.layers?.length ?? 0, 'layer')}\n`,
  );
  output.result(
    formatTable(
      ['LAYER', 'SIZE'],
      (image.layers ?? []).map(({ digest, size }) => [digest, formatBytes(size)]),
    ),
  );
}

function rowsOf(manifests: readonly Descriptor[]): string[][] {
  return manifests.map(({ digest, platform, annotations = {} }) => {
    const { 'vnd.docker.reference.digest': subject } = annotations;
    const attested = subject === undefined ? undefined : `attestations of ${subject.slice(0, 19)}`;
    return [attested ?? (platform === undefined ? '' : formatPlatform(platform)), digest];
  });
}
