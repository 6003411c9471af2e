/** How a build is asked for: by a query, or as JSON when there is something that has no form in a query. */
import type { Build, BuildRequest, SourcePolicy } from '../build/index.js';
import type { GivenSecrets, TarBuild, WharfClient } from '../client/index.js';
import { AppError } from '../errors/index.js';
import { annotationsOf, attestationsOf, compressionOf } from '../http/text/index.js';
import { defined } from '../platform/values/index.js';
import type { GivenContexts } from './build-contexts.js';
import { readSecrets, readSshKeys, type SecretPlaces } from './build-secrets.js';
import { readSourcePolicy } from './source-policy-file.js';

interface GivenFiles {
  readonly secrets?: readonly string[];
  readonly ssh?: readonly string[];
  readonly sourcePolicyFile?: string;
}

export interface Given extends Required<GivenSecrets> {
  readonly sourcePolicy?: SourcePolicy;
}

/** What is read on this machine. @throws AppError SECRET_INVALID, SECRET_NOT_FOUND, SOURCE_POLICY_INVALID */
export async function readGiven(files: GivenFiles, places: SecretPlaces): Promise<Given> {
  const { secrets = [], ssh = [], sourcePolicyFile } = files;
  const policy = sourcePolicyFile === undefined ? undefined : await readSourcePolicy(sourcePolicyFile, places.cwd);
  return {
    secrets: await readSecrets(secrets, places),
    ssh: await readSshKeys(ssh, places),
    ...(policy === undefined ? {} : { sourcePolicy: policy }),
  };
}

/** What the options say, in the forms of a query where there is one. */
export interface WantedBuild
  extends TarBuild, Pick<BuildRequest, 'run' | 'allow' | 'mediaTypes' | 'compatibilityVersion'> {
  readonly forceCompression?: boolean;
}

function compressionWanted(text: string | undefined, force: boolean | undefined): BuildRequest['compression'] {
  if (force !== true) return text === undefined ? undefined : compressionOf(text);
  return { ...compressionOf(text ?? 'gzip'), force };
}

export async function startBuild(
  client: WharfClient,
  { context, contexts, dockerfile, dockerfileText }: GivenContexts,
  wanted: WantedBuild,
  given: Given,
  { cacheFrom, cacheTo }: Pick<BuildRequest, 'cacheFrom' | 'cacheTo'> = {},
): Promise<Build> {
  const { run, allow, mediaTypes, compatibilityVersion, forceCompression } = wanted;
  const { sourcePolicy } = given;
  const isPlain =
    given.secrets.size + given.ssh.size === 0 &&
    [
      ...[contexts, dockerfileText, run, allow, cacheFrom, cacheTo, sourcePolicy],
      ...[mediaTypes, compatibilityVersion, forceCompression],
    ].every((each) => each === undefined);
  if (isPlain && typeof context === 'string') return client.builds.fromSent(context, { ...wanted, dockerfile });
  const { tags, args, labels, target, noCache, noCacheFilter, compression, annotations, attest, instead } = wanted;
  const [platform, ...others] = wanted.platforms ?? [];
  const request = defined({
    context,
    contexts,
    dockerfileText,
    tags,
    dockerfile,
    args,
    labels,
    target,
    noCache,
    noCacheFilter,
    run,
    allow,
    cacheFrom,
    cacheTo,
    platform: others.length === 0 ? platform : undefined,
    platforms: others.length === 0 ? undefined : wanted.platforms,
    compression: compressionWanted(compression, forceCompression),
    mediaTypes,
    compatibilityVersion,
    annotations: annotations === undefined ? undefined : annotationsOf(annotations.map(checked)),
    sourcePolicy,
    attestations: attest === undefined ? undefined : attestationsOf(attest),
    ...(instead === undefined ? {} : { [instead]: true }),
  });
  return client.builds.fromContext(request, given);
}

function checked(annotation: string): string {
  if (/^((manifest|index|manifest-descriptor|index-descriptor):)?[^=]+=/.test(annotation)) return annotation;
  throw new AppError('ANNOTATION_INVALID', `--annotation ${JSON.stringify(annotation)} is not [<where>:]name=value`);
}
