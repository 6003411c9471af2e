/**
 * What FROM and `--from` name: a stage of the file, an image, or what the request puts in the place of either. An image
 * is looked up; of a stage the plan is asked for.
 */
import { baseStage, expand, expandWord, findStage, type FromInstruction, type Stage } from '../../dockerfile/index.js';
import { AppError, toAppError } from '../../errors/index.js';
import { type Digest, parsePlatform, type Platform } from '../../oci/index.js';
import { closeNames, refusal } from '../build-errors.js';
import { ImageDraft } from './image-draft.js';
import { NamedContexts } from './named-contexts.js';
import type { PlanInput } from './plan.js';
import type { StagePlanner } from './stage-planner.js';
import type { StageState } from './stage-planning.js';
import type { BaseImage, SourceRef, StageBase } from './steps.js';
import type { LocalContext } from '../types.js';

export interface DraftStage {
  readonly index: number;
  readonly name: string;
  readonly base: StageBase;
  readonly platform: Platform;
  readonly planner: StagePlanner;
  readonly state: StageState;
}

/** What a stage is planned on. */
export interface StageFoundation {
  readonly platform: Platform;
  readonly base: StageBase;
  readonly state: StageState;
  /** ONBUILD instructions the base left. */
  readonly triggers: readonly string[];
  /** Whether the triggers come from this file; those of an image may not name its stages. */
  readonly trusted: boolean;
  /** The base is the files of this context. */
  readonly files?: Digest;
  /** The request gives another thing the stage's name: its own instructions are not for that. */
  readonly replaced: boolean;
}

type FoundationOf = Omit<StageFoundation, 'replaced'>;

const NOTHING_SET = { env: new Map<string, string>(), buildArgs: new Map<string, string | undefined>() };

export class StageSources {
  private readonly named: NamedContexts;

  constructor(
    private readonly input: PlanInput,
    /** The plan of a stage, by index. */
    private readonly stage: (index: number) => Promise<DraftStage>,
  ) {
    this.named = new NamedContexts(input.contexts ?? {});
  }

  /** @throws AppError PLATFORM_INVALID, which names the variable that has no value */
  private platformOf({ platform }: FromInstruction, globals: ReadonlyMap<string, string>): Platform {
    if (platform === undefined) return this.input.platform;
    const { text, unset } = expand(platform, globals, { escape: this.input.dockerfile.escape });
    const [missing] = unset;
    if (missing === undefined) return parsePlatform(text);
    try {
      return parsePlatform(text);
    } catch (error) {
      const { code, hint = '' } = toAppError(error);
      const close = closeNames(missing, [...globals.keys()]);
      throw refusal(code, `--platform=${platform} is ${JSON.stringify(text)}: nothing sets ${missing}`, {
        kind: 'invalid',
        hint:
          close.length > 0 ? `did you mean ${close.join(' or ')}?` : `an ARG ${missing} before the first FROM; ${hint}`,
        word: platform,
      });
    }
  }

  /** @param globals what FROM lines see */
  async foundation(stage: Stage, globals: ReadonlyMap<string, string>): Promise<StageFoundation> {
    const { from } = stage;
    const expandGlobal = (word: string): string => expandWord(word, globals, { escape: this.input.dockerfile.escape });
    const platform = this.platformOf(from, globals);
    const instead = from.name === undefined ? undefined : this.named.find(from.name, platform);
    if (instead !== undefined) {
      const found = await this.given(stage, from.name ?? '', instead, platform);
      return { ...found, triggers: [], replaced: true };
    }
    const written = expandGlobal(from.image);
    if (written === '') {
      throw refusal('BUILD_BASE_INVALID', `the base name ${JSON.stringify(from.image)} is empty`, {
        hint: 'give the argument a value: ARG BASE=busybox',
        word: from.image,
      });
    }
    const context = this.named.find(written, platform);
    const found =
      context === undefined
        ? await this.byName(stage, written, platform)
        : await this.given(stage, from.image, context, platform);
    return { ...found, replaced: false };
  }

  /** What `--from` names: an earlier stage by name or number, else an image. @param trusted whether it may be a stage */
  async source(name: string, user: Stage, platform: Platform, trusted: boolean): Promise<SourceRef> {
    if (name.includes('$')) {
      throw refusal('BUILD_FROM_INVALID', `--from=${name}: variables do not work here`, {
        hint: 'name a stage: FROM ${IMAGE} AS files, then --from=files',
        word: name,
      });
    }
    const given = trusted ? this.named.find(name, platform) : undefined;
    if (given !== undefined && !('stage' in given)) {
      if ('context' in given) return { from: 'context', context: given.context };
      return { from: 'image', image: await this.image(given, name, platform) };
    }
    const wanted = given === undefined ? name : given.stage;
    const { stages } = this.input.dockerfile;
    const stage = trusted ? findStage(stages, wanted) : undefined;
    if (trusted && stage === undefined && /^-?\d+$/.test(wanted)) {
      throw refusal('BUILD_FROM_INVALID', `--from=${name}: there is no stage with this number`, {
        hint:
          user.index === 0 ? 'an image, by its name' : `a stage before this one, 0 to ${user.index - 1}, or an image`,
        word: name,
      });
    }
    if (stage === undefined) return { from: 'image', image: await this.image({ image: wanted }, name, platform) };
    if (stage.index >= user.index) {
      throw refusal('BUILD_FROM_INVALID', `--from=${name} names a stage that does not come before this one`, {
        hint: 'move that stage up',
        word: name,
      });
    }
    await this.stage(stage.index);
    return { from: 'stage', stage: stage.index };
  }

  private async given(stage: Stage, word: string, given: LocalContext, platform: Platform): Promise<FoundationOf> {
    if ('stage' in given) return this.byName(stage, given.stage, platform);
    if ('image' in given && given.image === 'scratch') return emptyFoundation(platform);
    if ('context' in given) return { ...emptyFoundation(platform), files: given.context };
    return this.onImage(await this.image(given, word, platform), stage.from, platform);
  }

  private async byName(stage: Stage, name: string, platform: Platform): Promise<FoundationOf> {
    const earlier = baseStage(this.input.dockerfile, stage, name);
    if (earlier !== undefined) return onStage(await this.stage(earlier.index));
    if (name === 'scratch') return emptyFoundation(platform);
    return this.onImage(await this.image({ image: name }, stage.from.image, platform), stage.from, platform, name);
  }

  private onImage(image: BaseImage, from: FromInstruction, platform: Platform, name = image.name): FoundationOf {
    this.input.lint.baseImagePlatform(from, name, platform, image.platform);
    const draft = ImageDraft.fromBase(image.config, platform);
    const triggers = draft.config.OnBuild ?? [];
    delete draft.config.OnBuild;
    const state = { ...NOTHING_SET, image: draft };
    return { platform, base: { kind: 'image', image }, state, triggers, trusted: false };
  }

  /** @param word of the Dockerfile, which a refusal points at */
  private async image(
    given: Extract<LocalContext, { image: string } | { layout: Digest }>,
    word: string,
    platform: Platform,
  ): Promise<BaseImage> {
    try {
      return await ('image' in given ? this.input.base(given.image, platform) : this.input.layout(given, platform));
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const { code, message, kind, hint, details } = error;
      throw refusal(code, message, { kind, details, word, cause: error, ...(hint === undefined ? {} : { hint }) });
    }
  }
}

function onStage(draft: DraftStage): FoundationOf {
  return {
    platform: draft.platform,
    base: { kind: 'stage', stage: draft.index },
    state: { ...draft.state, image: draft.state.image.fork() },
    triggers: draft.state.image.config.OnBuild ?? [],
    trusted: true,
  };
}

function emptyFoundation(platform: Platform): FoundationOf {
  const state = { ...NOTHING_SET, image: ImageDraft.scratch(platform) };
  return { platform, base: { kind: 'scratch' }, state, triggers: [], trusted: true };
}
