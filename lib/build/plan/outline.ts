/** Outline and targets of a Dockerfile: what it takes and what it offers, told without looking at any image. */
import {
  type Dockerfile,
  flagValues,
  globalArguments,
  type Instruction,
  parseMount,
  platformArgs,
  type Stage,
  stagesNeeded,
  targetStage,
} from '../../dockerfile/index.js';
import type { Platform } from '../../oci/index.js';
import type { OutlineArg, OutlineReport, TargetsReport } from '../report.js';

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
  const instructions = stages.flatMap((stage) => stage.instructions);
  const mounts = instructions.flatMap(mountsOf);
  const { description } = target.from;
  return {
    kind: 'outline',
    target: nameOf(target),
    ...(description === undefined ? {} : { description }),
    args: argumentsOf([...dockerfile.globalArgs, ...instructions], args, globals),
    secrets: distinct(mounts.flatMap((mount) => (mount.type === 'secret' ? [wanted(mount)] : []))),
    ssh: distinct(mounts.flatMap((mount) => (mount.type === 'ssh' ? [wanted(mount)] : []))),
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

function mountsOf(instruction: Instruction): PlacedMount[] {
  if (instruction.kind !== 'run') return [];
  const { line } = instruction.range.start;
  return flagValues(instruction.flags, 'mount').map((value) => ({ ...parseMount(value), line }));
}

function wanted({ type, id, target, required, line }: PlacedMount): OutlineReport['secrets'][number] {
  const name = id ?? (type === 'ssh' ? 'default' : (target?.slice(target.lastIndexOf('/') + 1) ?? ''));
  return { id: name, required, line };
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

/** The first declaration of each name; a default or description of a later one completes it. */
function argumentsOf(
  instructions: readonly Instruction[],
  given: Readonly<Record<string, string>>,
  globals: ReadonlyMap<string, string>,
): readonly OutlineArg[] {
  const found = new Map<string, OutlineArg>();
  for (const instruction of instructions) {
    if (instruction.kind !== 'arg') continue;
    for (const { key, value, description } of instruction.args) {
      const known = found.get(key);
      const shown = given[key] ?? known?.value ?? globals.get(key) ?? value;
      const told = known?.description ?? description;
      found.set(key, {
        name: key,
        ...(told === undefined ? {} : { description: told }),
        ...(shown === undefined ? {} : { value: shown }),
        line: known?.line ?? instruction.range.start.line,
      });
    }
  }
  return [...found.values()];
}
