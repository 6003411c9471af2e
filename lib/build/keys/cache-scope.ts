/** What a request means for the step cache: whose it is, where reasons are remembered, which steps are not looked up. */
import { type Dockerfile, findStage } from '../../dockerfile/index.js';
import { AppError } from '../../errors/index.js';
import { compress } from '../../layers/index.js';
import { formatPlatform, type Platform } from '../../oci/index.js';
import { parseTag } from '../export/export.js';
import { hashParts } from './framing.js';
import type { Step } from '../plan/steps.js';
import type { BuildCompression, BuildRequest } from '../types.js';
import type { LocalRequest } from '../context/fetched-contexts.js';

/** Layers compressed in another way are other layers. @throws AppError COMPRESSION_UNSUPPORTED, COMPRESSION_LEVEL */
export function scopeOf(scope: string, compression: BuildCompression | undefined): string {
  if (compression === undefined) return scope;
  const { type, level } = compression;
  compress(type === 'estargz' ? 'gzip' : type, level);
  const isDefault = type === 'gzip' && (level === undefined || level === 6);
  return isDefault ? scope : `${scope} ${type}${level === undefined ? '' : `-${level}`}`;
}

/** Builds of the same Dockerfile for the same name are told apart from others when a miss is explained. */
export function slotOf(request: LocalRequest, platform: Platform, scope: string): string {
  const [tag] = request.tags;
  return hashParts('wharf.slot.v1', [
    { name: 'scope', value: scope },
    { name: 'repository', value: tag === undefined ? '' : parseTag(tag).repository },
    { name: 'dockerfile', value: request.dockerfile ?? 'Dockerfile' },
    { name: 'target', value: request.target ?? '' },
    { name: 'platform', value: formatPlatform(platform) },
  ]);
}

/** @throws AppError BUILD_STAGE_UNKNOWN */
export function uncachedBy(
  { noCache = false, noCacheFilter = [] }: BuildRequest,
  dockerfile: Dockerfile,
): (step: Step) => boolean {
  const stages = new Set(
    noCacheFilter.map((name) => {
      const stage = findStage(dockerfile.stages, name);
      if (stage !== undefined) return stage.index;
      const names = dockerfile.stages.map(({ from, index }) => from.name ?? String(index));
      throw new AppError('BUILD_STAGE_UNKNOWN', `no-cache-filter names ${JSON.stringify(name)}, which is no stage`, {
        hint: `stages: ${names.join(', ')}`,
      });
    }),
  );
  return (step) => noCache || stages.has(step.stage);
}
