/** `wharf build`. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { defined } from '../../platform/values/index.js';
import type { ProgressMode } from '../build-progress.js';
import type { CliDeps } from '../deps.js';
import { collect, filled, pairs } from './option-values.js';
import { addRunOptions, allowed, type RunOptions, runSettings } from './run-options.js';
import { connected, type Shared, talking } from './shared-options.js';

interface BuildOptions extends Shared, RunOptions {
  readonly tag: readonly string[];
  readonly file?: string;
  readonly target?: string;
  readonly buildArg: readonly string[];
  readonly label: readonly string[];
  readonly platform: readonly string[];
  readonly cache: boolean;
  readonly cacheFilter: readonly string[];
  readonly compression?: string;
  readonly forceCompression?: boolean;
  readonly mediaTypes?: 'oci' | 'docker';
  readonly compatibilityVersion?: 10 | 20 | 30;
  readonly annotation: readonly string[];
  readonly attest: readonly string[];
  readonly provenance?: string;
  readonly sbom?: string;
  readonly cacheFrom: readonly string[];
  readonly cacheTo: readonly string[];
  readonly sourcePolicyFile?: string;
  readonly buildContext: readonly string[];
  readonly secret: readonly string[];
  readonly ssh: readonly string[];
  readonly output: readonly string[];
  readonly check?: boolean;
  readonly plan?: boolean;
  readonly outline?: boolean;
  readonly targets?: boolean;
  readonly call?: (typeof INSTEAD)[number];
  readonly progress: ProgressMode;
}

/** What a build may be asked for instead of an image. */
const INSTEAD = ['check', 'plan', 'outline', 'targets'] as const;

export function addBuild(wharf: Command, deps: CliDeps): void {
  const command = wharf.command('build');
  talking(command)
    .description('build an image from a Dockerfile and the files beside it')
    .argument(
      '[context]',
      'a folder, https://….git#ref:folder, git@host:path, the address of a tar, or - for standard input',
      '.',
    )
    .option('-t, --tag <name>', 'name of the image, repository[:tag]; repeatable', collect, [])
    .option('-f, --file <path>', 'the Dockerfile; - is standard input')
    .option(
      '-o, --output <where>',
      'beside the registry: a folder, - or type=oci|docker|tar|local,dest=<path>, or type=image,name=<name>; repeatable',
      collect,
      [],
    )
    .option('--target <stage>', 'stage to build')
    .option('--build-arg <name=value>', 'value of an ARG; repeatable', collect, [])
    .option('--label <name=value>', 'label of the image; repeatable', collect, [])
    .option(
      '--platform <os/arch>',
      'platform to build for; several, by commas or repeated, become an index',
      collect,
      [],
    )
    .option('--no-cache', 'run every step')
    .option('--no-cache-filter <stage>', 'run every step of this stage; repeatable', collect, [])
    .option(
      '--cache-from <cache>',
      'look also there for steps: a reference, type=registry,ref=<name> or type=local,src=<folder>; repeatable',
      collect,
      [],
    )
    .option(
      '--cache-to <cache>',
      'for other builders: type=registry,ref=<name>[,mode=max], type=local,dest=<folder> or type=inline; repeatable',
      collect,
      [],
    )
    .option('--compression <type[:level]>', 'of new layers: gzip, estargz, zstd or none')
    .option('--force-compression', 'of the base image’s layers too')
    .addOption(new Option('--media-types <family>', 'of the image: oci or docker').choices(['oci', 'docker']))
    .addOption(
      new Option('--compatibility-version <n>', 'bytes as BuildKit wrote them: 10, 20 or 30 (the default)').argParser(
        compatibility,
      ),
    )
    .option(
      '--annotation <[where:]name=value>',
      'of the manifest, or index:, manifest-descriptor:, index-descriptor:; repeatable',
      collect,
      [],
    )
    .option(
      '--attest <type=…>',
      'attestation beside the image: type=provenance,mode=min|max or type=sbom,generator=<image>; repeatable',
      collect,
      [],
    )
    .option('--provenance <true|mode=…>', 'short for --attest type=provenance')
    .option('--sbom <true|generator=…>', 'short for --attest type=sbom')
    .option(
      '--build-context <name=place>',
      'a folder, address, docker-image://, oci-layout:// or target:// by name; repeatable',
      collect,
      [],
    )
    .option('--secret <id=name[,src=file|,env=name]>', 'for RUN --mount=type=secret; repeatable', collect, [])
    .option('--ssh <id=key[,key]>', 'private key files for RUN --mount=type=ssh; repeatable', collect, [])
    .option('--source-policy-file <path>', "rules in BuildKit's JSON: what sources are allowed, denied or converted")
    .option('--check', 'build nothing: say what the lint rules find')
    .option('--plan', 'build nothing: say which steps are cached, which are not, and why')
    .option('--outline', 'build nothing: say what the target takes')
    .option('--targets', 'build nothing: say which targets there are')
    .addOption(new Option('--call <method>', 'one of these four, as docker writes it').choices(INSTEAD))
    .addOption(
      new Option('--progress <mode>', 'how to show it').choices(['auto', 'plain', 'tty', 'quiet']).default('auto'),
    )
    .action(async (context: string, options: BuildOptions) => {
      const { tag, file, target, cache, progress, json, compression, forceCompression } = options;
      const { mediaTypes, compatibilityVersion } = options;
      const args = { ...pairs(epochOf(deps.env), {}), ...pairs(options.buildArg, deps.env) };
      const labels = pairs(options.label, {});
      const noCache = cache ? undefined : true;
      const platforms = filled(options.platform.flatMap((each) => each.split(',')));
      const noCacheFilter = filled(options.cacheFilter.flatMap((each) => each.split(',')));
      const annotations = filled(options.annotation);
      const attest = filled(attestTexts(options));
      const secrets = filled(options.secret);
      const ssh = filled(options.ssh);
      const contexts = filled(options.buildContext);
      const outputs = filled(options.output);
      // Where buildx looks for it.
      const { EXPERIMENTAL_BUILDKIT_SOURCE_POLICY: known = '' } = deps.env;
      const sourcePolicyFile = options.sourcePolicyFile ?? (known === '' ? undefined : known);
      const instead = options.call ?? INSTEAD.find((each) => options[each] === true);
      const wanted = { context, tags: tag, args, labels, progress, file, target, platforms, json, noCache };
      const input = defined({
        ...wanted,
        noCacheFilter,
        compression,
        forceCompression,
        mediaTypes,
        compatibilityVersion,
        annotations,
        attest,
        cacheFrom: filled(options.cacheFrom),
        cacheTo: filled(options.cacheTo),
        contexts,
        secrets,
        ssh,
        outputs,
        sourcePolicyFile,
        instead,
        run: runSettings(options),
        allow: allowed(options),
      });
      // Loaded only here: tar and Dockerfile code would slow every other command down.
      const { build } = await import('../commands/build.js');
      await build(input, await connected(deps, options));
    });
  addRunOptions(command);
}

/** The long form of every attestation: `--provenance=mode=max` is `type=provenance,mode=max`. */
function attestTexts({ attest, provenance, sbom }: BuildOptions): readonly string[] {
  return [...attest, ...longForm('provenance', provenance), ...longForm('sbom', sbom)];
}

function longForm(type: string, value: string | undefined): readonly string[] {
  if (value === undefined) return [];
  if (value === 'true') return [`type=${type}`];
  return [value === 'false' ? `type=${type},disabled=true` : `type=${type},${value}`];
}

function compatibility(text: string): 10 | 20 | 30 {
  if (text === '10') return 10;
  if (text === '20') return 20;
  if (text === '30') return 30;
  throw new InvalidArgumentError('10, 20 or 30 is wanted');
}

/** As buildx hands it on from the environment, where no --build-arg says another. */
function epochOf({ SOURCE_DATE_EPOCH: epoch }: CliDeps['env']): readonly string[] {
  return epoch === undefined || epoch === '' ? [] : [`SOURCE_DATE_EPOCH=${epoch}`];
}
