/** Which stages a target needs: through FROM, COPY --from, RUN --mount=from and the ONBUILD of a stage it is built from. */
import { AppError } from '../errors/index.js';
import { globalArguments, platformArgs } from './variables/arguments.js';
import { csvFields } from './instructions/csv.js';
import { DockerfileError, refusal } from './errors.js';
import { flagValue, flagValues } from './instructions/flags.js';
import { errorAt } from './instruction-error.js';
import { parseInstruction } from './parse.js';
import { expandWord } from './variables/shell-words.js';
import { nearest } from './suggestion.js';
import type { Dockerfile, FromInstruction, Instruction, Stage } from './types.js';

export interface StageOptions {
  /** What FROM lines see; the defaults of the file when absent. */
  readonly globals?: ReadonlyMap<string, string>;
}

/**
 * The stages to build for a target, in file order; the target is the last of them.
 * @param target name in any case, or number; the last stage when absent or empty
 * @throws DockerfileError DOCKERFILE_TARGET_UNKNOWN, DOCKERFILE_STAGE_UNKNOWN, DOCKERFILE_STAGE_CYCLE, DOCKERFILE_STAGE_ORDER
 */
export function stagesNeeded(dockerfile: Dockerfile, target?: string, options: StageOptions = {}): readonly Stage[] {
  const last = targetStage(dockerfile, target);
  const finder = new StageFinder(dockerfile, options);
  const needed = new Set<Stage>();
  const open = [last];
  for (let stage = open.pop(); stage !== undefined; stage = open.pop()) {
    if (needed.has(stage)) continue;
    needed.add(stage);
    open.push(...finder.dependencies(stage));
  }
  return dockerfile.stages.filter((stage) => needed.has(stage));
}

/** @param target name in any case, or number; the last stage when absent or empty. @throws DockerfileError */
export function targetStage(dockerfile: Dockerfile, target?: string): Stage {
  const { stages } = dockerfile;
  const found = target === undefined || target === '' ? stages.at(-1) : findStage(stages, target);
  if (found !== undefined) return found;
  const names = stages.map(({ from, index }) => from.name ?? String(index));
  const near = nearest(target ?? '', names);
  throw new DockerfileError(
    'DOCKERFILE_TARGET_UNKNOWN',
    `there is no target stage "${target}"`,
    { file: dockerfile.fileName, line: 1, column: 1, sourceLine: '' },
    {
      hint: `${near === undefined ? '' : `did you mean ${near}? `}stages: ${names.join(', ')}`,
      details: { stages: names },
    },
  );
}

/** A stage by name in any case (the last of that name) or by number. */
export function findStage(stages: readonly Stage[], name: string): Stage | undefined {
  if (/^\d{1,9}$/.test(name)) return stages[Number(name)];
  return stages.findLast((stage) => stage.from.name === name.toLowerCase());
}

/** The earlier stage a FROM continues; undefined for an image. @param image with variables in */
export function baseStage(dockerfile: Dockerfile, stage: Stage, image: string): Stage | undefined {
  return dockerfile.stages
    .slice(0, stage.index)
    .findLast((earlier) => earlier.from.name !== undefined && earlier.from.name === image.toLowerCase());
}

/** Names an instruction takes files from, as written: stages, numbers, images or named contexts. */
export function sourcesOf(instruction: Instruction): string[] {
  if (instruction.kind === 'copy') {
    const from = flagValue(instruction.flags, 'from');
    return from === undefined || from === '' ? [] : [from];
  }
  if (instruction.kind !== 'run') return [];
  return flagValues(instruction.flags, 'mount').flatMap((mount) => {
    const from = csvFields(mount).findLast((field) => /^from=./i.test(field));
    return from === undefined ? [] : [from.slice('from='.length)];
  });
}

class StageFinder {
  private readonly globals: ReadonlyMap<string, string>;

  constructor(
    private readonly dockerfile: Dockerfile,
    options: StageOptions,
  ) {
    const linux = { os: 'linux', architecture: 'amd64' };
    this.globals = options.globals ?? globalArguments(dockerfile, platformArgs(linux, linux));
  }

  dependencies(stage: Stage): Stage[] {
    const base = this.base(stage);
    const triggers = base === undefined ? [] : this.triggers(base, stage);
    const found = [...triggers, ...stage.instructions].flatMap((instruction) =>
      sourcesOf(instruction).flatMap((name) => this.source(stage, instruction, name)),
    );
    return base === undefined ? found : [base, ...found];
  }

  private base(stage: Stage): Stage | undefined {
    const { escape } = this.dockerfile;
    const image = this.located(stage.from, () => expandWord(stage.from.image, this.globals, { escape }));
    return baseStage(this.dockerfile, stage, image);
  }

  /** ONBUILD of the base runs here, and is gone for the next. */
  private triggers(base: Stage, stage: Stage): Instruction[] {
    return base.instructions.flatMap((instruction) =>
      instruction.kind === 'onbuild' ? [this.located(stage.from, () => parseInstruction(instruction.expression))] : [],
    );
  }

  private source(stage: Stage, instruction: Instruction, name: string): Stage[] {
    const isNumber = instruction.kind === 'copy' && /^[+-]?\d+$/.test(name);
    const found =
      isNumber || !/^\d/.test(name) ? findStage(this.dockerfile.stages, name.replace(/^\+/, '')) : undefined;
    const at = instruction.range.start.line < stage.from.range.start.line ? stage.from : instruction;
    if (found === undefined) {
      if (!isNumber) return [];
      throw this.refuse(at, 'DOCKERFILE_STAGE_UNKNOWN', `there is no stage ${name}`, name);
    }
    if (found.index < stage.index) return [found];
    const isCycle = found === stage || this.reaches(found, stage);
    throw isCycle
      ? this.refuse(at, 'DOCKERFILE_STAGE_CYCLE', `stage "${name}" needs itself through this instruction`, name)
      : this.refuse(at, 'DOCKERFILE_STAGE_ORDER', `stage "${name}" is defined after this instruction`, name);
  }

  private refuse(at: Instruction | FromInstruction, code: string, sentence: string, word: string): Error {
    const names = this.dockerfile.stages.map(({ from, index }) => from.name ?? String(index));
    const hint = `take files from an earlier stage; stages: ${names.join(', ')}`;
    return errorAt(this.dockerfile.fileName, at, refusal(code, sentence, { hint, word }));
  }

  /** Whether one stage is built on another, by FROM alone. */
  private reaches(from: Stage, to: Stage): boolean {
    for (let stage: Stage | undefined = from; stage !== undefined; stage = this.base(stage)) {
      if (stage === to) return true;
    }
    return false;
  }

  private located<T>(at: Instruction | FromInstruction, work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw error instanceof AppError ? errorAt(this.dockerfile.fileName, at, error) : error;
    }
  }
}
