/** A plan for each platform of a request, all of them made before any work is done for one. */
import { AppError, toAppError } from '../../errors/index.js';
import { formatPlatform, parsePlatform, type Platform } from '../../oci/index.js';
import { type BaseImageDeps, findBaseImage } from '../images/base-image.js';
import type { EmitEvent } from '../build-log.js';
import type { BuildSource } from '../context/build-source.js';
import type { LocalRequest } from '../context/fetched-contexts.js';
import type { LayoutImages } from '../images/layout-images.js';
import { ENTITLEMENTS } from '../run-settings.js';
import { type Plan, planBuild } from './plan.js';
import type { Scanner } from './sbom-scan.js';
import type { PolicedSources } from '../policy/policed-sources.js';
import type { SourceTimes } from './source-epoch.js';
import type { BaseImage } from './steps.js';

export interface PlatformBuild {
  readonly platform: Platform;
  readonly plan: Plan;
}

/** The distinct platforms a request asks for; the builder's own when it names none. */
export function platformsOf(request: LocalRequest, own: Platform): readonly Platform[] {
  const asked = request.platforms ?? (request.platform === undefined ? [] : [request.platform]);
  const distinct = new Map(asked.map(parsePlatform).map((platform) => [formatPlatform(platform), platform]));
  return distinct.size === 0 ? [own] : [...distinct.values()];
}

export async function planPlatforms(
  bases: BaseImageDeps & {
    readonly layouts: Pick<LayoutImages, 'find'>;
    readonly times: SourceTimes;
    readonly policy: PolicedSources;
  },
  own: Platform,
  request: LocalRequest,
  { dockerfile, lint }: Pick<BuildSource, 'dockerfile' | 'lint'>,
  emit: EmitEvent,
): Promise<readonly PlatformBuild[]> {
  const { policy } = bases;
  const found = basesOf(bases, emit);
  const base = async (name: string, platform: Platform): Promise<BaseImage> => {
    const wanted = policy.image(name);
    const image = await found(wanted, platform);
    policy.found(wanted, image.name);
    return image;
  };
  const platforms = platformsOf(request, own);
  const scanner = await scannerOf(request, (name) => base(name, own));
  const builds: PlatformBuild[] = [];
  const told = new Set<string>();
  let firstStep = 1;
  for (const platform of platforms) {
    const plan = await planBuild({
      dockerfile,
      args: request.args ?? {},
      labels: request.labels ?? {},
      contexts: request.contexts ?? {},
      times: bases.times,
      ...(request.run === undefined ? {} : { run: request.run }),
      // A check runs nothing.
      allow: request.check === true ? ENTITLEMENTS : (request.allow ?? []),
      ...(request.target === undefined ? {} : { target: request.target }),
      allStages: request.check === true && request.target === undefined,
      platform,
      buildPlatform: own,
      base,
      layout: async (layout, wanted) => {
        policy.layout(layout.layout);
        return bases.layouts.find(layout, wanted);
      },
      remote: (remote) => policy.remote(remote),
      lint,
      firstStep,
      ...(scanner === undefined ? {} : { scanner }),
      ...(platforms.length === 1 ? {} : { label: formatPlatform(platform) }),
      warn: (warning) => {
        if (!told.has(warning.message)) emit({ type: 'warning', ...warning });
        told.add(warning.message);
      },
    });
    builds.push({ platform, plan });
    firstStep += plan.steps.length;
  }
  return builds;
}

/** As BuildKit has it; from Docker Hub, unless our registry has it. */
const DEFAULT_SCANNER = 'docker/buildkit-syft-scanner:stable-1';

async function scannerOf(
  { attestations }: LocalRequest,
  base: (name: string) => Promise<BaseImage>,
): Promise<Scanner | undefined> {
  if (attestations?.sbom === undefined) return undefined;
  const { generator = DEFAULT_SCANNER, parameters = {} } = attestations.sbom;
  try {
    return { name: generator, image: await base(generator), parameters };
  } catch (error) {
    const { code, message, kind, hint, details, retryable } = toAppError(error);
    const options = { kind, details, retryable, cause: error, ...(hint === undefined ? {} : { hint }) };
    throw new AppError(code, `the SBOM generator: ${message}`, options);
  }
}

/** Looks bases up, each name once: all stages of a build stand on the same digest, whatever the tag does meanwhile. */
function basesOf(deps: BaseImageDeps, emit: EmitEvent): (name: string, platform: Platform) => Promise<BaseImage> {
  const known = new Map<string, Promise<BaseImage>>();
  const find = async (name: string, platform: Platform): Promise<BaseImage> => {
    const image = await findBaseImage(deps, name, platform);
    emit({ type: 'message', text: `FROM ${name} is ${image.name}` });
    return image;
  };
  return (name, platform) => {
    const key = `${name} ${formatPlatform(platform)}`;
    const image = known.get(key) ?? find(name, platform);
    known.set(key, image);
    return image;
  };
}
