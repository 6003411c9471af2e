/**
 * From a Dockerfile and the request to a graph: which stages are needed, on which bases, which steps make layers, and
 * what the config of each stage is. Nothing is read here but base manifests and configs; a stage nobody needs is
 * never looked at.
 */
import {
  baseStage,
  type Dockerfile,
  expandWord,
  findStage,
  type FromInstruction,
  globalArguments,
  type Instruction,
  parseInstruction,
  platformArgs,
  predefinedArgs,
  type Stage,
  targetStage,
} from '../dockerfile/index.js';
import { AppError } from '../errors/index.js';
import { parsePlatform, type Platform } from '../oci/index.js';
import { type Place, refusal, unsupported, withPlace } from './build-errors.js';
import { EPOCH_ARG, epochInvalid, proxyEnv, sourceDateEpoch } from './global-args.js';
import { ImageDraft } from './image-draft.js';
import type { PlanLint } from './plan-lint.js';
import { planMount } from './run-mounts.js';
import { StagePlanner, type StageState } from './stage-planner.js';
import type { BaseImage, SourceRef, StageBase, Step } from './steps.js';
import type { LocalContext } from './types.js';

export interface PlanInput {
  readonly dockerfile: Dockerfile;
  readonly args: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** What names in FROM and `--from` stand for; a name itself when absent. */
  readonly contexts?: Readonly<Record<string, LocalContext>>;
  /** When the context is from, where that is known. */
  readonly contextSeconds?: number;
  readonly target?: string;
  /** Plan the stages that the target does not need as well, as a check does that names no target. */
  readonly allStages?: boolean;
  /** What is built for, and what builds. */
  readonly platform: Platform;
  readonly buildPlatform: Platform;
  /** Looks an image up. @throws AppError BUILD_BASE_UNKNOWN and others, without a place */
  readonly base: (reference: string, platform: Platform) => Promise<BaseImage>;
  readonly warn: (warning: { readonly message: string; readonly line?: number; readonly rule?: string }) => void;
  readonly lint: PlanLint;
  /** Number of the first step, when other plans come before; 1 when absent. */
  readonly firstStep?: number;
  /** Stands in front of the stage in the names of steps: the platform, when there are several. */
  readonly label?: string;
}

export interface StagePlan {
  readonly index: number;
  /** As progress names it; empty when the file has one stage. */
  readonly name: string;
  readonly base: StageBase;
  readonly platform: Platform;
  /** Steps of the stage itself, in order. */
  readonly steps: readonly Step[];
  readonly image: ImageDraft;
}

export interface Plan {
  /** The needed stages, by index. */
  readonly stages: ReadonlyMap<number, StagePlan>;
  readonly target: StagePlan;
  /** All steps of all needed stages, in the file's order. */
  readonly steps: readonly Step[];
  /** Number of the first step. */
  readonly firstStep: number;
  /** Seconds since 1970 when SOURCE_DATE_EPOCH is given. */
  readonly epochSeconds?: number;
}

/** @throws AppError with file, line and column, for everything that can be known before a step runs */
export async function planBuild(input: PlanInput): Promise<Plan> {
  const planner = new Planner(input);
  return planner.plan();
}

interface DraftStage {
  readonly index: number;
  readonly name: string;
  readonly base: StageBase;
  readonly platform: Platform;
  readonly planner: StagePlanner;
  readonly state: StageState;
}

/** What a stage is planned on. */
interface StageFoundation {
  readonly platform: Platform;
  readonly base: StageBase;
  readonly state: StageState;
  /** ONBUILD instructions the base left. */
  readonly triggers: readonly string[];
  /** Whether the triggers come from this file; those of an image may not name its stages. */
  readonly trusted: boolean;
}

class Planner {
  private readonly stages = new Map<number, Promise<DraftStage>>();
  private globals: ReadonlyMap<string, string>;
  /** Of the request; SOURCE_DATE_EPOCH as a number once it is known. */
  private args: Readonly<Record<string, string>>;
  private epochSeconds: number | undefined;

  constructor(private readonly input: PlanInput) {
    const { dockerfile, args, platform, buildPlatform } = input;
    const name = input.target ?? dockerfile.stages.at(-1)?.from.name;
    const given = new Map(Object.entries(args));
    this.globals = globalArguments(dockerfile, platformArgs(buildPlatform, platform, name), given);
    this.args = args;
  }

  async plan(): Promise<Plan> {
    await this.resolveEpoch();
    const targetIndex = targetStage(this.input.dockerfile, this.input.target).index;
    await this.stage(targetIndex);
    if (this.input.allStages === true) {
      for (const { index } of this.input.dockerfile.stages) await this.stage(index);
    }
    const drafts = await Promise.all(this.stages.values());
    drafts.sort((a, b) => a.index - b.index);
    const stages = new Map<number, StagePlan>();
    const { firstStep = 1 } = this.input;
    let number = firstStep;
    for (const draft of drafts) {
      const steps = this.numbered(draft, number);
      number += steps.length;
      const { index, name, base, platform } = draft;
      stages.set(index, { index, name, base, platform, steps, image: draft.state.image });
    }
    const target = stages.get(targetIndex);
    if (target === undefined) throw new AppError('INTERNAL', 'the target stage was not planned', { kind: 'internal' });
    for (const [name, value] of Object.entries(this.input.labels)) target.image.setLabel(name, value);
    this.warnUnusedArgs();
    return {
      stages,
      target,
      steps: [...stages.values()].flatMap((stage) => stage.steps),
      firstStep,
      ...(this.epochSeconds === undefined ? {} : { epochSeconds: this.epochSeconds }),
    };
  }

  /** SOURCE_DATE_EPOCH, wherever it comes from, as a number for everything that follows. */
  private async resolveEpoch(): Promise<void> {
    const source = sourceDateEpoch(this.args, this.globals);
    if (source === undefined) return;
    const { [EPOCH_ARG]: _, ...args } = this.args;
    const globals = new Map(this.globals);
    globals.delete(EPOCH_ARG);
    if (source.kind === 'time') this.epochSeconds = source.seconds;
    else {
      // While it is found out, no stage may see the word for it.
      this.args = args;
      this.globals = globals;
    }
    if (source.kind === 'context' && this.input.contextSeconds !== undefined) {
      this.setEpoch(this.input.contextSeconds, args, globals);
    } else if (source.kind === 'context') {
      this.input.warn({ message: `${EPOCH_ARG}=context: an uploaded context has no time of its own, so none is set` });
    } else if (source.kind === 'stage') {
      this.setEpoch(await this.epochOfStage(source.name), args, globals);
      this.stages.clear();
    }
  }

  private setEpoch(seconds: number, args: Readonly<Record<string, string>>, globals: Map<string, string>): void {
    this.epochSeconds = seconds;
    this.args = { ...args, [EPOCH_ARG]: String(seconds) };
    this.globals = globals.set(EPOCH_ARG, String(seconds));
  }

  private async epochOfStage(name: string): Promise<number> {
    const stage = findStage(this.input.dockerfile.stages, name);
    if (stage === undefined) throw epochInvalid(name, 'names no stage');
    const { base, planner } = await this.stage(stage.index);
    const created = base.kind === 'image' ? base.image.config['created'] : undefined;
    const seconds = typeof created === 'string' ? Math.floor(Date.parse(created) / 1000) : Number.NaN;
    if (planner.steps.length > 0 || base.kind !== 'image') throw epochInvalid(name, 'names a stage that is built here');
    if (Number.isNaN(seconds)) throw epochInvalid(name, 'names an image that does not say when it was created');
    return Math.max(0, seconds);
  }

  private numbered(draft: DraftStage, first: number): Step[] {
    const total = draft.planner.steps.length;
    const width = String(total).length;
    return draft.planner.steps.map((step, i) => {
      const stage = [this.input.label, draft.name].map((part) => (part === undefined || part === '' ? '' : `${part} `));
      const onbuild = step.onbuild ? 'ONBUILD ' : '';
      return {
        number: first + i,
        stage: draft.index,
        name: `[${stage.join('')}${String(i + 1).padStart(width)}/${total}]`,
        instruction: onbuild + step.instruction,
        place: step.place,
        op: step.op,
        platform: draft.platform,
        ...(this.epochSeconds === undefined ? {} : { epochSeconds: this.epochSeconds }),
      };
    });
  }

  private stage(index: number): Promise<DraftStage> {
    const known = this.stages.get(index);
    if (known !== undefined) return known;
    const stage = this.input.dockerfile.stages[index];
    if (stage === undefined) throw new AppError('INTERNAL', `no stage ${index}`, { kind: 'internal' });
    const planned = this.planStage(stage);
    this.stages.set(index, planned);
    return planned;
  }

  private async planStage(stage: Stage): Promise<DraftStage> {
    const { dockerfile, lint } = this.input;
    const from = this.place(stage.from);
    lint.stage(stage);
    const { platform, base, state, triggers, trusted } = await this.placed(from, () => this.stageBase(stage));
    const planner = new StagePlanner(state, {
      escape: dockerfile.escape,
      args: this.args,
      globalArgs: this.globals,
      hiddenEnv: proxyEnv(this.input.args),
      platform,
      source: (name, allowed) => this.source(name, stage, platform, allowed),
      mount: planMount,
      lint,
    });
    for (const trigger of triggers) {
      const dispatch = (): Promise<void> =>
        planner.dispatch(parseInstruction(trigger), from, { onbuild: true, trusted });
      await this.placed(from, dispatch);
    }
    for (const instruction of stage.instructions) {
      const place = this.place(instruction);
      await this.placed(place, () => planner.dispatch(instruction, place));
    }
    const named = stage.from.name ?? `stage-${stage.index}`;
    const name = dockerfile.stages.length === 1 ? '' : named;
    return { index: stage.index, name, base, platform, planner, state: planner.state };
  }

  /** Errors of the work get the place. */
  private async placed<T>(place: Place, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw withPlace(error, place);
    }
  }

  private expandGlobal(word: string): string {
    return expandWord(word, this.globals, { escape: this.input.dockerfile.escape });
  }

  private async stageBase(stage: Stage): Promise<StageFoundation> {
    const { from } = stage;
    const platform =
      from.platform === undefined ? this.input.platform : parsePlatform(this.expandGlobal(from.platform));
    const written = this.expandGlobal(from.image);
    const given = this.named(written);
    const name = this.baseName(written, given);
    if (name === '') {
      throw refusal('BUILD_BASE_INVALID', `the base name ${JSON.stringify(from.image)} is empty`, {
        hint: 'give the argument a value: ARG BASE=busybox',
        word: from.image,
      });
    }
    const isImage = given !== undefined && 'image' in given;
    const earlier = isImage ? undefined : baseStage(this.input.dockerfile, stage, name);
    if (earlier !== undefined) {
      const draft = await this.stage(earlier.index);
      const triggers = draft.state.image.config.OnBuild ?? [];
      const state = { ...draft.state, image: draft.state.image.fork() };
      return {
        platform: draft.platform,
        base: { kind: 'stage', stage: earlier.index },
        state,
        triggers,
        trusted: true,
      };
    }
    const none = { env: new Map<string, string>(), buildArgs: new Map<string, string | undefined>() };
    if (name === 'scratch') {
      const state = { ...none, image: ImageDraft.scratch(platform) };
      return { platform, base: { kind: 'scratch' }, state, triggers: [], trusted: true };
    }
    const image = await this.lookUp(name, from.image, platform);
    this.input.lint.baseImagePlatform(from, name, platform, image.platform);
    const draft = ImageDraft.fromBase(image.config, platform);
    const triggers = draft.config.OnBuild ?? [];
    delete draft.config.OnBuild;
    return { platform, base: { kind: 'image', image }, state: { ...none, image: draft }, triggers, trusted: false };
  }

  /** What the request says a name stands for. */
  private named(name: string): LocalContext | undefined {
    const { contexts = {} } = this.input;
    return Object.hasOwn(contexts, name) ? contexts[name] : undefined;
  }

  private baseName(written: string, given: LocalContext | undefined): string {
    if (given === undefined) return written;
    if ('image' in given) return given.image;
    if ('stage' in given) return given.stage;
    throw unsupported('FROM_CONTEXT', `FROM ${written}: a folder of files is no base`, 'an image or a stage', written);
  }

  private async lookUp(name: string, word: string, platform: Platform): Promise<BaseImage> {
    try {
      return await this.input.base(name, platform);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const { code, message, kind, hint, details } = error;
      throw refusal(code, message, { kind, details, word, cause: error, ...(hint === undefined ? {} : { hint }) });
    }
  }

  /** What `--from` names: an earlier stage by name or number, else an image. */
  private async source(name: string, user: Stage, platform: Platform, trusted: boolean): Promise<SourceRef> {
    if (name.includes('$')) {
      throw refusal('BUILD_FROM_INVALID', `--from=${name}: variables do not work here`, {
        hint: 'name a stage: FROM ${IMAGE} AS files, then --from=files',
        word: name,
      });
    }
    const given = trusted ? this.named(name) : undefined;
    if (given !== undefined && 'context' in given) return { from: 'context', context: given.context };
    const isImage = given !== undefined && 'image' in given;
    const wanted = given === undefined ? name : this.baseName(name, given);
    const stage = trusted && !isImage ? findStage(this.input.dockerfile.stages, wanted) : undefined;
    if (stage === undefined) return { from: 'image', image: await this.lookUp(wanted, name, platform) };
    if (stage.index >= user.index) {
      throw refusal('BUILD_FROM_INVALID', `--from=${name} names a stage that does not come before this one`, {
        hint: 'move that stage up',
        word: name,
      });
    }
    await this.stage(stage.index);
    return { from: 'stage', stage: stage.index };
  }

  private place(instruction: FromInstruction | Instruction): Place {
    const { line, column } = instruction.range.start;
    return { file: this.input.dockerfile.fileName, line, column, original: instruction.original };
  }

  private warnUnusedArgs(): void {
    const { dockerfile, args } = this.input;
    const declared = new Set(this.globals.keys());
    const instructions = dockerfile.stages.flatMap((stage) => stage.instructions);
    for (const instruction of [...dockerfile.globalArgs, ...instructions]) {
      if (instruction.kind === 'arg') for (const arg of instruction.args) declared.add(arg.key);
    }
    const unused = Object.keys(args).filter((name) => !declared.has(name) && !predefinedArgs.includes(name));
    const known = unused.filter((name) => name !== 'SOURCE_DATE_EPOCH' && !name.startsWith('BUILDKIT_'));
    if (known.length > 0)
      this.input.warn({ message: `build arguments that no ARG declares: ${known.sort().join(', ')}` });
  }
}
