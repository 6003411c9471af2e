/**
 * What the key of each step was made of last time, by the place the step has in its Dockerfile, so that a miss can say
 * what changed. The parts stand in a record, the files of a context in a blob beside it: one line each, in the order of
 * the key, so that two of them are compared as they pass, whatever their length.
 */
import { createHash } from 'node:crypto';
import { AppError } from '../../errors/index.js';
import { lineBatches } from '../../layers/index.js';
import type { Digest } from '../../oci/index.js';
import type { ByteSource, Clock, ContentStore, RecordKey, RecordStore } from '../../store/index.js';
import type { StepKey } from '../keys/keys.js';
import { stateChange, type StepFile, type StepFiles } from '../keys/selection.js';

/** `STEP-LAST#<slot>` / `-` */
interface LastStep {
  readonly parts: readonly { readonly name: string; readonly hash: string; readonly shown: string }[];
  /** Blob with a line for each file; absent when the step takes none from a context. */
  readonly fileList?: Digest;
  /** Diff id of the layer it gave. */
  readonly layer?: Digest;
  /** The image that a first step of a stage stands on, with its digest. */
  readonly base?: string;
  /** Its word; absent in what earlier versions wrote. */
  readonly instruction?: string;
}

/** What is told and remembered of a step. */
export interface StepIdentity {
  readonly key: StepKey;
  readonly files: StepFiles;
  readonly instruction: string;
  readonly base?: string;
}

/** The reason of a step whose place is not known. */
export const NEVER_BUILT = 'not built here before';

/** A step nobody made for so long is forgotten. */
const KEEP_MS = 90 * 24 * 3600 * 1000;
const MAX_PARTS = 500;
const MAX_SHOWN = 80;
const LINES_AT_ONCE = 1000;

export interface LastStepsDeps {
  readonly records: RecordStore;
  readonly content: ContentStore;
  readonly clock: Clock;
}

export class LastSteps {
  constructor(private readonly deps: LastStepsDeps) {}

  /**
   * Why a key is not in the cache, in one line.
   * @param slot the step's place: repository, Dockerfile, stage, number
   */
  async explain(slot: string, { key, files, instruction, base }: StepIdentity): Promise<string> {
    const last = await this.last(slot);
    if (last === undefined) return NEVER_BUILT;
    const part = changedPart(last.parts, partsOf(key));
    if (part === undefined) return 'its layer is not in the store any more';
    if (part === BEFORE) return beforeChanged(last.base, base);
    // A line was put in or taken out.
    if (last.instruction !== undefined && last.instruction !== instruction) {
      return `instruction: ${last.instruction} → ${instruction}`;
    }
    return typeof part === 'string' ? part : ((await this.changedFile(last, files)) ?? `${part.name} changed`);
  }

  /** Diff id of the layer that the step at this place gave last time. */
  async layer(slot: string): Promise<Digest | undefined> {
    return (await this.last(slot))?.layer;
  }

  async remember(slot: string, { key, files, instruction, base }: StepIdentity, layer: Digest): Promise<void> {
    const { content, records, clock } = this.deps;
    const before = (await this.last(slot))?.fileList;
    const list = isEmpty(files) ? undefined : await content.put(linesOf(files));
    if (list !== undefined) await content.hold(list.digest, holderOf(slot), { forMs: KEEP_MS });
    const value: LastStep = {
      parts: partsOf(key),
      layer,
      instruction,
      ...(list === undefined ? {} : { fileList: list.digest }),
      ...(base === undefined ? {} : { base }),
    };
    await records.put(slotKey(slot), value, { expiresAtMs: clock.nowMs() + KEEP_MS });
    if (before !== undefined && before !== list?.digest) await content.release(before, holderOf(slot));
  }

  private async last(slot: string): Promise<LastStep | undefined> {
    return (await this.deps.records.get<LastStep>(slotKey(slot)))?.value;
  }

  /** The first file that is not as it was; both lists have one order. */
  private async changedFile({ fileList }: LastStep, files: StepFiles): Promise<string | undefined> {
    const source = fileList === undefined ? undefined : await this.deps.content.open(fileList);
    if (source === undefined) return undefined;
    const fresh = files[Symbol.iterator]();
    for await (const lines of lineBatches(source as ByteSource, { cut: cutShort })) {
      for (const line of lines) {
        // Earlier versions wrote no state.
        const [path, sum, state] = JSON.parse(line) as StepFile | readonly [string, number, undefined?];
        const next = fresh.next();
        if (next.done !== true && next.value[0] === path) {
          if (next.value[1] === sum) continue;
          return `${path}: ${state === undefined ? 'changed' : stateChange(state, next.value[2])}`;
        }
        return next.done !== true && has(files, path) ? `${next.value[0]}: new` : `${path}: gone`;
      }
    }
    const next = fresh.next();
    return next.done === true ? undefined : `${next.value[0]}: new`;
  }
}

function isEmpty(files: StepFiles): boolean {
  for (const _ of files) return false;
  return true;
}

function has(files: StepFiles, wanted: string): boolean {
  for (const [path] of files) if (path === wanted) return true;
  return false;
}

const cutShort = (): AppError => new AppError('INTERNAL', 'a list of files is cut short', { kind: 'internal' });
const slotKey = (slot: string): RecordKey => ({ partition: `STEP-LAST#${slot}`, sort: '-' });
const holderOf = (slot: string): string => `STEP-LAST#${slot}`;

async function* linesOf(files: StepFiles): ByteSource {
  let lines = '';
  let count = 0;
  // Only to tell what changed: the key itself has the whole identity.
  for (const file of files) {
    lines += `${JSON.stringify(file)}\n`;
    count += 1;
    if (count % LINES_AT_ONCE !== 0) continue;
    yield Buffer.from(lines);
    lines = '';
  }
  if (lines !== '') yield Buffer.from(lines);
}

function partsOf(key: StepKey): LastStep['parts'] {
  return key.parts.slice(0, MAX_PARTS).map(({ name, value }) => ({
    name,
    hash: createHash('sha256').update(value).digest('hex').slice(0, 16),
    shown: value.length > MAX_SHOWN ? `${value.slice(0, MAX_SHOWN)}…` : value,
  }));
}

const BEFORE = 'what came before';

function beforeChanged(before: string | undefined, now: string | undefined): string {
  if (now === undefined) return 'a step before it changed';
  return before === undefined || before === now ? 'the base image changed' : `base image: ${before} → ${now}`;
}

/** What is told of the first part that is not as it was; the part itself when its files have to tell. */
function changedPart(
  before: LastStep['parts'],
  now: LastStep['parts'],
): string | LastStep['parts'][number] | undefined {
  const length = Math.max(before.length, now.length);
  for (let i = 0; i < length; i++) {
    const old = before[i];
    const part = now[i];
    if (part === undefined) return `${old?.name ?? 'a part'} is gone`;
    if (old === undefined || old.name !== part.name) return `${part.name} is new`;
    if (old.hash === part.hash) continue;
    if (part.name === 'what came before') return BEFORE;
    if (part.name === 'command') return 'the command changed';
    if (part.name.startsWith('content of ')) return part;
    if (part.name.startsWith('heredoc ')) return `${part.name} changed`;
    return `${part.name}: ${JSON.stringify(old.shown)} → ${JSON.stringify(part.shown)}`;
  }
  return undefined;
}
