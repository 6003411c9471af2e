/**
 * A scan for the SBOM of an image as one more stage of its plan: the scanner's image, an empty folder for what it finds,
 * and its command with the image's files mounted (BuildKit's docs/attestations/sbom-protocol.md). So it is cached, shown,
 * limited and carried out where RUN is, like any other step.
 */
import { AppError } from '../../errors/index.js';
import { formatPlatform, type Platform } from '../../oci/index.js';
import type { Place } from '../build-errors.js';
import { ImageDraft } from './image-draft.js';
import type { StagePlan } from './plan.js';
import type { BaseImage, RunMount, RunOp, SourceRef, Step, StepOp } from './steps.js';

/** What scans, as it was asked for. */
export interface Scanner {
  /** As it was named. */
  readonly name: string;
  readonly image: BaseImage;
  /** Become `BUILDKIT_SCAN_<name>`. */
  readonly parameters: Readonly<Record<string, string>>;
}

export interface ScanInput {
  readonly scanner: Scanner;
  /** What is scanned beside the target: stages and the context, by name. */
  readonly extras: ReadonlyMap<string, SourceRef>;
  readonly target: Pick<StagePlan, 'index'>;
  /** Where a scan that fails is told to stand. */
  readonly place: Place;
  /** Of the new stage. */
  readonly index: number;
  readonly firstStep: number;
  /** In front of the names of its steps. */
  readonly label?: string;
}

export const SCAN_CONTEXT_ARG = 'BUILDKIT_SBOM_SCAN_CONTEXT';
export const SCAN_STAGE_ARG = 'BUILDKIT_SBOM_SCAN_STAGE';
/** Where a scanner leaves what it found. */
export const SCAN_RESULT = 'run/out';
/** The scan of the image itself begins so. */
export const CORE_SCAN = 'sbom';
const EXTRAS = '/run/src/extras';

/** @param value of one of the arguments: true, false, or names of stages */
export function scansStage(value: string | undefined, stage: string): boolean {
  if (value === undefined || value === '') return false;
  if (/^(1|t|true)$/i.test(value)) return true;
  return !/^(0|f|false)$/i.test(value) && value.split(',').includes(stage);
}

/** @throws AppError BUILD_SBOM_GENERATOR */
export function planScan(input: ScanInput): StagePlan {
  const { scanner, index, label } = input;
  const { platform } = scanner.image;
  const image = ImageDraft.fromBase(scanner.image.config, platform);
  const stage = label === undefined ? 'sbom' : `${label} sbom`;
  const step = (i: number, instruction: string, op: StepOp): Step => ({
    number: input.firstStep + i,
    stage: index,
    name: `[${stage} ${i + 1}/2]`,
    instruction,
    place: input.place,
    op,
    platform,
  });
  const steps = [
    step(0, `WORKDIR /${SCAN_RESULT}`, { kind: 'workdir', path: `/${SCAN_RESULT}`, user: '' }),
    step(1, `SBOM by ${scanner.name}`, scanOf(input, image)),
  ];
  return { index, name: 'sbom', base: { kind: 'image', image: scanner.image }, platform, steps, image };
}

function scanOf({ scanner, extras, target }: ScanInput, { config, platform }: ImageDraft): RunOp {
  const args = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  if (args.length === 0) throw noCommand(scanner.name, platform);
  const core = `/run/src/core/${CORE_SCAN}`;
  const variables = [
    `BUILDKIT_SCAN_DESTINATION=/${SCAN_RESULT}/`,
    `BUILDKIT_SCAN_SOURCE=${core}`,
    ...(extras.size === 0 ? [] : [`BUILDKIT_SCAN_SOURCE_EXTRAS=${EXTRAS}/`]),
    ...Object.entries(scanner.parameters).map(([name, value]) => `BUILDKIT_SCAN_${name}=${value}`),
  ];
  return {
    kind: 'run',
    args,
    env: [...(config.Env ?? []), ...variables],
    hiddenEnv: [],
    user: '',
    cwd: config.WorkingDir === undefined || config.WorkingDir === '' ? '/' : config.WorkingDir,
    network: 'default',
    security: 'sandbox',
    mounts: [
      { type: 'tmpfs', target: '/tmp' },
      filesOf({ from: 'stage', stage: target.index }, core),
      ...[...extras].map(([name, source]) => filesOf(source, `${EXTRAS}/${CORE_SCAN}-${name}`)),
    ],
  };
}

function filesOf(source: SourceRef, target: string): RunMount {
  return { type: 'bind', target, source, path: '/', readonly: true };
}

function noCommand(name: string, platform: Platform): AppError {
  return new AppError(
    'BUILD_SBOM_GENERATOR',
    `the SBOM generator ${name} (${formatPlatform(platform)}) has no command`,
    {
      hint: 'an image whose ENTRYPOINT or CMD is a scanner, such as docker/buildkit-syft-scanner',
    },
  );
}
