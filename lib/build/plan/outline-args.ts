/**
 * The arguments of an outline: those that the needed stages declare, and of the global ones those that stages take over
 * or that their FROM lines, and the values of others, are made from. Values are as far as they can be known without
 * looking at an image.
 */
import {
  type ArgInstruction,
  baseStage,
  type Dockerfile,
  expand,
  expandWord,
  type RunInstruction,
  type Stage,
} from '../../dockerfile/index.js';
import { AppError } from '../../errors/index.js';
import type { OutlineArg } from '../report.js';

export interface OutlineArgsInput {
  readonly dockerfile: Dockerfile;
  /** Of the request. */
  readonly given: Readonly<Record<string, string>>;
  /** What FROM lines see before the first ARG, and after the last. */
  readonly platform: ReadonlyMap<string, string>;
  readonly globals: ReadonlyMap<string, string>;
}

type Variables = Map<string, string>;
type Expand = (word: string) => string;

export class OutlineArgs {
  private readonly globalArgs = new Map<string, OutlineArg>();
  /** Which names the value of a global argument is made from. */
  private readonly madeFrom = new Map<string, Set<string>>();
  private readonly usedGlobals = new Set<string>();
  private readonly found = new Map<string, OutlineArg>();
  private readonly variables = new Map<Stage, Variables>();

  constructor(private readonly input: OutlineArgsInput) {
    const values = new Map(input.platform);
    for (const instruction of input.dockerfile.globalArgs) this.declareGlobals(instruction, values);
  }

  /** Stages come in the order of the file. @param onRun is told each RUN, with what expands its mounts there */
  read(stage: Stage, onRun: (run: RunInstruction, expand: Expand) => void): void {
    const { escape } = this.input.dockerfile;
    for (const word of [stage.from.image, stage.from.platform ?? '']) {
      for (const name of namesIn(word, this.input.globals, escape)) this.useGlobal(name);
    }
    const base = baseStage(this.input.dockerfile, stage, this.expanded(stage.from.image, this.input.globals));
    const variables: Variables = new Map(base === undefined ? [] : this.variables.get(base));
    this.variables.set(stage, variables);
    const expandHere: Expand = (word) => this.expanded(word, variables);
    for (const instruction of stage.instructions) {
      if (instruction.kind === 'arg') this.declare(instruction, variables);
      else if (instruction.kind === 'run') onRun(instruction, expandHere);
      else if (instruction.kind === 'env') {
        const pairs = instruction.pairs.map(({ key, value }) => [expandHere(key), expandHere(value)] as const);
        for (const [name, value] of pairs) variables.set(name, value);
      }
    }
  }

  /** In the order of their lines. */
  args(): readonly OutlineArg[] {
    const globals = [...this.usedGlobals].flatMap((name) => this.globalArgs.get(name) ?? []);
    const all = new Map([...globals, ...this.found.values()].map((arg) => [arg.name, arg]));
    return [...all.values()].sort((a, b) => a.line - b.line);
  }

  private declareGlobals(instruction: ArgInstruction, values: Variables): void {
    for (const { key, value } of instruction.args) {
      const shown = this.input.given[key] ?? (value === undefined ? values.get(key) : this.expanded(value, values));
      const parts = this.madeFrom.get(key) ?? new Set<string>();
      for (const name of namesIn(value ?? '', values, this.input.dockerfile.escape)) parts.add(name);
      this.madeFrom.set(key, parts);
      if (shown !== undefined) values.set(key, shown);
      this.globalArgs.set(key, described(this.globalArgs.get(key), instruction, key, shown));
    }
  }

  private useGlobal(used: string): void {
    const waiting = [used];
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      if (this.usedGlobals.has(name)) continue;
      this.usedGlobals.add(name);
      waiting.push(...(this.madeFrom.get(name) ?? []));
    }
  }

  private declare(instruction: ArgInstruction, variables: Variables): void {
    for (const { key, value } of instruction.args) {
      const given = this.input.given[key];
      const inherited = this.input.globals.get(key);
      const isGlobal = this.globalArgs.has(key) || (given === undefined && inherited !== undefined);
      const isTakenOver = value === undefined && isGlobal;
      const shown = given ?? (value === undefined ? inherited : this.expanded(value, variables));
      if (shown !== undefined) variables.set(key, shown);
      if (isTakenOver || this.globalArgs.has(key)) this.useGlobal(key);
      if (!isTakenOver) this.found.set(key, described(this.found.get(key), instruction, key, shown));
    }
  }

  /** Of an image nothing is known here: what cannot be expanded without it stays as written. */
  private expanded(word: string, variables: ReadonlyMap<string, string>): string {
    const { escape } = this.input.dockerfile;
    try {
      return expandWord(word, variables, { escape, keepUnset: true });
    } catch (error) {
      if (error instanceof AppError) return word;
      throw error;
    }
  }
}

function namesIn(word: string, variables: ReadonlyMap<string, string>, escape: '\\' | '`'): Iterable<string> {
  try {
    const { used, unset } = expand(word, variables, { escape });
    return [...used, ...unset];
  } catch (error) {
    if (error instanceof AppError) return [];
    throw error;
  }
}

/** The last declaration counts; a description of an earlier one stays. */
function described(
  known: OutlineArg | undefined,
  instruction: ArgInstruction,
  name: string,
  value: string | undefined,
): OutlineArg {
  const own = instruction.args.find(({ key }) => key === name)?.description;
  const description = own ?? known?.description;
  return {
    name,
    ...(description === undefined ? {} : { description }),
    ...(value === undefined ? {} : { value }),
    line: instruction.range.start.line,
  };
}
