/** `wharf registry upstream`, `refresh`. */
import type { Command } from 'commander';
import { defined } from '../../platform/values/index.js';
import { addUpstream, listUpstreams, refreshTag, removeUpstream } from '../commands/registry-upstreams.js';
import type { CliDeps } from '../deps.js';
import { byteCount, keepSeconds, whole } from './option-values.js';
import { connected, type Shared, talking } from './shared-options.js';

interface UpstreamOptions extends Shared {
  readonly tagTtl?: number;
  readonly keep?: number;
  readonly maxSize?: number;
  readonly insecure?: boolean;
}

export function addRegistryUpstreams(registry: Command, deps: CliDeps): void {
  const upstream = registry.command('upstream').description('caches of other registries');
  talking(upstream.command('add'))
    .description('make repositories below a prefix caches of another registry, or change one')
    .argument('<prefix>', 'as in hub: hub/library/busybox is then cached from there')
    .argument('<registry>', 'as in docker.io, ghcr.io, 127.0.0.1:5000')
    .option('--tag-ttl <seconds>', 'for so long a tag is taken to be where it was last seen (default: 300)', whole)
    .option('--keep <duration>', 'what nobody asks for in so long goes: 12h, 90d, forever (default: 30d)', keepSeconds)
    .option(
      '--max-size <size>',
      'what it holds beyond goes, the longest unused first: 500M, 20G (default: no bound)',
      byteCount,
    )
    .option('--insecure', 'plain http, to a private name')
    .action(async (prefix: string, host: string, options: UpstreamOptions) => {
      const { tagTtl: tagTtlSeconds, keep: kept, maxSize: maxBytes, insecure, json } = options;
      const input = defined({ prefix, registry: host, tagTtlSeconds, keepSeconds: kept, maxBytes, insecure, json });
      await addUpstream(input, await connected(deps, options));
    });
  talking(upstream.command('ls'))
    .description('all of them')
    .action(async (options: Shared) => listUpstreams(defined({ json: options.json }), await connected(deps, options)));
  talking(upstream.command('rm'))
    .description('end the caching; what was cached stays')
    .argument('<prefix>', 'as it was added')
    .action(async (prefix: string, options: Shared) =>
      removeUpstream(defined({ prefix, json: options.json }), await connected(deps, options)),
    );
  talking(registry.command('refresh'))
    .description('look a tag of a cache up at its upstream now')
    .argument('<image>', 'repository[:tag]')
    .action(async (image: string, options: Shared) =>
      refreshTag(defined({ image, json: options.json }), await connected(deps, options)),
    );
}
