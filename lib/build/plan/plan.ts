/**
 * From a Dockerfile and the request to a graph: which stages are needed, on which bases, which steps make layers, and
 * what the config of each stage is. Nothing is read here but base manifests and configs; a stage nobody needs is
 * never looked at.
 */
import {
  type Dockerfile,
  type FromInstruction,
  globalArguments,
  type Instruction,
  parseInstruction,
  platformArgs,
  type Stage,
  targetStage,
} from '../../dockerfile/index.js';
import { AppError } from '../../errors/index.js';
import type { Platform } from '../../oci/index.js';
import { type Place, withPlace } from '../build-errors.js';
import { type BuildkitSettings, buildkitSettings } from './buildkit-args.js';
import { proxyEnv, unusedArgs } from './global-args.js';
import type { ImageDraft } from './image-draft.js';
import { NamedContexts } from './named-contexts.js';
import type { PlanLint } from './plan-lint.js';
import { planMount } from './run-mounts.js';
import { planScan, SCAN_CONTEXT_ARG, SCAN_STAGE_ARG, type Scanner, scansStage } from './sbom-scan.js';
import { EPOCH_ARG, epochSeconds, type EpochWord, type SourceTimes } from './source-epoch.js';
import { StagePlanner } from './stage-planner.js';
import { type DraftStage, StageSources } from './stage-sources.js';
import type { BaseImage, RemoteRef, SourceRef, StageBase, Step } from './steps.js';
import type { LayoutContext, LocalContext } from '../types.js';
import type { Entitlement, RunSettings } from '../run-settings.js';

export interface PlanInput {
  readonly dockerfile: Dockerfile;
  readonly args: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** What names in FROM and `--from` stand for; a name itself when absent. */
  readonly contexts?: Readonly<Record<string, LocalContext>>;
  /** When sources are from, for SOURCE_DATE_EPOCH. */
  readonly times: SourceTimes;
  /** What every RUN gets, and which rights it may have. */
  readonly run?: RunSettings;
  readonly allow?: readonly Entitlement[];
  readonly target?: string;
  /** Plan the stages that the target does not need as well, as a check does that names no target. */
  readonly allStages?: boolean;
  /** What is built for, and what builds. */
  readonly platform: Platform;
  readonly buildPlatform: Platform;
  /** Looks an image up. @throws AppError BUILD_BASE_UNKNOWN and others, without a place */
  readonly base: (reference: string, platform: Platform) => Promise<BaseImage>;
  /** Looks an image of an OCI layout up. @throws AppError, without a place */
  readonly layout: (layout: LayoutContext, platform: Platform) => Promise<BaseImage>;
  /** What is fetched in the place of what ADD names; that itself when absent. @throws AppError, without a place */
  readonly remote?: (remote: RemoteRef) => RemoteRef;
  readonly warn: (warning: { readonly message: string; readonly line?: number; readonly rule?: string }) => void;
  readonly lint: PlanLint;
  /** Scans what was built for its SBOM. */
  readonly scanner?: Scanner;
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
  /** Scans the target; one of the stages, behind those of the file. */
  readonly scan?: StagePlan;
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

class Planner {
  private readonly stages = new Map<number, Promise<DraftStage>>();
  private globals: ReadonlyMap<string, string>;
  /** Of the request; SOURCE_DATE_EPOCH as a number once it is known. */
  private args: Readonly<Record<string, string>>;
  private epochSeconds: number | undefined;
  private readonly sources: StageSources;
  private readonly settings: BuildkitSettings;

  constructor(private readonly input: PlanInput) {
    const { dockerfile, args, platform, buildPlatform } = input;
    const name = input.target ?? dockerfile.stages.at(-1)?.from.name;
    const given = new Map(Object.entries(args));
    this.globals = globalArguments(dockerfile, platformArgs(buildPlatform, platform, name), given);
    this.args = args;
    this.settings = buildkitSettings(args);
    this.sources = new StageSources(input, (index) => this.stage(index));
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
    const unused = unusedArgs(this.input.dockerfile, this.input.args, this.globals);
    if (unused.length > 0) this.input.warn({ message: `build arguments that no ARG declares: ${unused.join(', ')}` });
    const scan = this.scan(drafts, target, number);
    if (scan !== undefined) stages.set(scan.index, scan);
    return {
      stages,
      target,
      ...(scan === undefined ? {} : { scan }),
      steps: [...stages.values()].flatMap((stage) => stage.steps),
      firstStep,
      ...(this.epochSeconds === undefined ? {} : { epochSeconds: this.epochSeconds }),
    };
  }

  private scan(drafts: readonly DraftStage[], { index }: StagePlan, firstStep: number): StagePlan | undefined {
    const { scanner, dockerfile, label } = this.input;
    const target = drafts.find((draft) => draft.index === index);
    const from = dockerfile.stages[index]?.from;
    if (scanner === undefined || target === undefined || from === undefined) return undefined;
    const scans = (name: string, { name: stage, state }: DraftStage): boolean =>
      scansStage(state.buildArgs.get(name) ?? this.globals.get(name), stage);
    const stages = drafts.filter((draft) => draft !== target && scans(SCAN_STAGE_ARG, draft));
    const extras = new Map<string, SourceRef>(stages.map(({ name, index: stage }) => [name, { from: 'stage', stage }]));
    if (scans(SCAN_CONTEXT_ARG, target)) extras.set('context', { from: 'context' });
    return planScan({
      scanner,
      extras,
      target,
      place: this.place(from),
      index: dockerfile.stages.length,
      firstStep,
      ...(label === undefined ? {} : { label }),
    });
  }

  /** SOURCE_DATE_EPOCH, wherever it comes from, as a number for everything that follows. */
  private async resolveEpoch(): Promise<void> {
    const word = this.epochWord();
    if (word === undefined) return;
    const { [EPOCH_ARG]: _, ...args } = this.args;
    const globals = new Map(this.globals);
    globals.delete(EPOCH_ARG);
    // While it is found out, no stage may see the word for it.
    this.args = args;
    this.globals = globals;
    const { dockerfile, platform, times } = this.input;
    const contexts = new NamedContexts(this.input.contexts ?? {});
    this.epochSeconds = await epochSeconds(word, {
      dockerfile,
      contexts,
      platform,
      times,
      stage: (index) => this.stage(index),
    });
    this.stages.clear();
    if (this.epochSeconds === undefined) {
      this.input.warn({ message: `${EPOCH_ARG}=${word.text}: that has no time of its own, so none is set` });
      return;
    }
    this.args = { ...args, [EPOCH_ARG]: String(this.epochSeconds) };
    this.globals = globals.set(EPOCH_ARG, String(this.epochSeconds));
  }

  private epochWord(): EpochWord | undefined {
    const given = this.args[EPOCH_ARG];
    const text = given ?? this.globals.get(EPOCH_ARG) ?? '';
    if (text === '') return undefined;
    const declaration = this.input.dockerfile.globalArgs.findLast((arg) =>
      arg.args.some(({ key }) => key === EPOCH_ARG),
    );
    return given !== undefined || declaration === undefined ? { text } : { text, place: this.place(declaration) };
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
    const foundation = await this.placed(from, () => this.sources.foundation(stage, this.globals));
    const { platform, base, state, triggers, trusted, files, replaced } = foundation;
    const planner = new StagePlanner(state, {
      escape: dockerfile.escape,
      args: this.args,
      globalArgs: this.globals,
      hiddenEnv: proxyEnv(this.input.args),
      platform,
      settings: this.settings,
      run: this.input.run ?? {},
      allowed: new Set(this.input.allow),
      source: (name, allowed) => this.sources.source(name, stage, platform, allowed),
      remote: this.input.remote ?? ((remote) => remote),
      mount: planMount,
      lint,
    });
    if (files !== undefined) planner.startWith(files, stage.from.code, from);
    for (const trigger of triggers) {
      const dispatch = (): Promise<void> =>
        planner.dispatch(parseInstruction(trigger), from, { onbuild: true, trusted });
      await this.placed(from, dispatch);
    }
    for (const instruction of replaced ? [] : stage.instructions) {
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

  private place(instruction: FromInstruction | Instruction): Place {
    const { line, column } = instruction.range.start;
    return { file: this.input.dockerfile.fileName, line, column, original: instruction.original };
  }
}
