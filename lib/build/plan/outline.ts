/** Outline and targets of a Dockerfile: what it takes and what it offers, told without looking at any image. */
import {
  type Dockerfile,
  flagValues,
  globalArguments,
  parseMount,
  platformArgs,
  type RunInstruction,
  type Stage,
  stagesNeeded,
  targetStage,
} from '../../dockerfile/index.js';
import type { Platform } from '../../oci/index.js';
import type { OutlineReport, TargetsReport } from '../report.js';
import { OutlineArgs } from './outline-args.js';
import { secretId, sshId } from './run-mounts.js';

export interface OutlineInput {
  readonly dockerfile: Dockerfile;
  readonly target?: string;
  readonly args: Readonly<Record<string, string>>;
  readonly platform: Platform;
  readonly buildPlatform: Platform;
}

/** The arguments, secrets, ssh sockets and mounts of a target and of the stages it needs. @throws DockerfileError */
export function outlineOf(input: OutlineInput): OutlineReport {
  const { dockerfile, args } = input;
  const target = targetStage(dockerfile, input.target);
  const platform = platformArgs(input.buildPlatform, input.platform, target.from.name);
  const globals = globalArguments(dockerfile, platform, new Map(Object.entries(args)));
  const stages = stagesNeeded(dockerfile, input.target, { globals });
  const reading = new OutlineArgs({ dockerfile, given: args, platform, globals });
  const mounts: PlacedMount[] = [];
  for (const stage of stages) reading.read(stage, (run, expand) => mounts.push(...mountsOf(run, expand)));
  const { description } = target.from;
  return {
    kind: 'outline',
    target: nameOf(target),
    ...(description === undefined ? {} : { description }),
    args: reading.args(),
    secrets: distinct(mounts.flatMap((mount) => (mount.type === 'secret' ? [wanted(mount, secretId(mount))] : []))),
    ssh: distinct(mounts.flatMap((mount) => (mount.type === 'ssh' ? [wanted(mount, sshId(mount))] : []))),
    caches: mounts.flatMap(({ type, id, target: path = '', line }) =>
      type === 'cache' ? [{ id: id === undefined || id === '' ? path : id, target: path, line }] : [],
    ),
    mounts: mounts.flatMap(({ type, from, target: path = '', line }) =>
      type === 'bind' || type === 'tmpfs'
        ? [{ type, target: path, line, ...(from === undefined ? {} : { from }) }]
        : [],
    ),
  };
}

export function targetsOf(dockerfile: Dockerfile): TargetsReport {
  const last = dockerfile.stages.length - 1;
  return {
    kind: 'targets',
    targets: dockerfile.stages.map((stage) => {
      const { description, image, platform, range } = stage.from;
      return {
        name: nameOf(stage),
        base: image,
        isDefault: stage.index === last,
        line: range.start.line,
        ...(description === undefined ? {} : { description }),
        ...(platform === undefined ? {} : { platform }),
      };
    }),
  };
}

function nameOf(stage: Stage): string {
  return stage.from.name ?? String(stage.index);
}

type PlacedMount = ReturnType<typeof parseMount> & { readonly line: number };

function mountsOf(run: RunInstruction, expand: (word: string) => string): PlacedMount[] {
  const { line } = run.range.start;
  return flagValues(run.flags, 'mount').map((value) => ({ ...parseMount(value, expand), line }));
}

function wanted({ required, line }: PlacedMount, id: string): OutlineReport['secrets'][number] {
  return { id, required, line };
}

/** One entry for each id, required when any of its users requires it. */
function distinct(entries: readonly OutlineReport['secrets'][number][]): OutlineReport['secrets'] {
  const found = new Map<string, OutlineReport['secrets'][number]>();
  for (const entry of entries) {
    const known = found.get(entry.id);
    found.set(entry.id, known === undefined ? entry : { ...known, required: known.required || entry.required });
  }
  return [...found.values()];
}
