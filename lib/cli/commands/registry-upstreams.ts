/** `wharf registry upstream …` and `refresh`: caches of other registries. */
import { formatBytes } from '../../http/text/index.js';
import type { CommandDeps } from '../deps.js';
import { formatTable, printJson } from '../output.js';

interface Json {
  readonly json?: boolean;
}

export interface UpstreamInput extends Json {
  readonly prefix: string;
  readonly registry: string;
  readonly tagTtlSeconds?: number;
  readonly keepSeconds?: number;
  readonly maxBytes?: number;
  readonly insecure?: boolean;
}

export async function addUpstream(input: UpstreamInput, { client, output }: CommandDeps): Promise<void> {
  const { prefix, json, ...settings } = input;
  const upstream = await client.registry.upstreams.put(prefix, settings);
  if (json === true) return printJson(output, upstream);
  const goes =
    upstream.keepSeconds === 0 ? 'what a tag points at stays' : `what nobody asks for in ${kept(upstream)} goes`;
  const beyond = upstream.maxBytes === undefined ? '' : `, and what is beyond ${formatBytes(upstream.maxBytes)}`;
  output.result(
    `${prefix}/… is a cache of ${upstream.registry}; tags are looked up every ${upstream.tagTtlSeconds} s, ${goes}${beyond}\n`,
  );
}

export async function listUpstreams({ json }: Json, { client, output }: CommandDeps): Promise<void> {
  const upstreams = await client.registry.upstreams.list();
  if (json === true) return printJson(output, { upstreams });
  const rows = upstreams.map((upstream) => [
    upstream.prefix,
    upstream.registry,
    `${upstream.tagTtlSeconds}s`,
    kept(upstream),
    upstream.maxBytes === undefined ? '-' : formatBytes(upstream.maxBytes),
    upstream.insecure === true ? 'http' : 'https',
  ]);
  output.result(formatTable(['PREFIX', 'REGISTRY', 'TAG TTL', 'KEPT', 'AT MOST', 'BY'], rows));
}

function kept({ keepSeconds = 0 }: { readonly keepSeconds?: number }): string {
  if (keepSeconds === 0) return 'forever';
  const hours = keepSeconds / 3600;
  if (hours % 24 === 0) return `${hours / 24}d`;
  return Number.isInteger(hours) ? `${hours}h` : `${keepSeconds}s`;
}

export async function removeUpstream(
  { prefix, json }: Json & { readonly prefix: string },
  { client, output }: CommandDeps,
): Promise<void> {
  await client.registry.upstreams.remove(prefix);
  if (json === true) return printJson(output, { prefix });
  output.result(`${prefix}/… is no cache any more; what it holds stays\n`);
}

export async function refreshTag(
  { image, json }: Json & { readonly image: string },
  { client, output }: CommandDeps,
): Promise<void> {
  const found = await client.registry.refresh(image);
  if (json === true) return printJson(output, found);
  output.result(`${found.repository}:${found.tag} ${found.changed ? 'moved to' : 'is still'} ${found.digest}\n`);
}
