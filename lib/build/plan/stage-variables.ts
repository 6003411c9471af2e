/** The variables of one stage as they stand at each point: ENV, declared ARGs, and which names were asked for in vain. */
import { type ArgInstruction, expand, expandWord } from '../../dockerfile/index.js';
import type { StagePlanning, StageState } from './stage-planning.js';

/** Arguments that speak to the builder alone. */
const NO_VARIABLES: ReadonlySet<string> = new Set(['BUILDKIT_SBOM_SCAN_CONTEXT', 'BUILDKIT_SBOM_SCAN_STAGE']);

export class StageVariables {
  /** Environment of RUN: ENV and the ARGs that have a value. */
  readonly env: Map<string, string>;
  /** Declared build arguments, in order, with the value they had. */
  readonly buildArgs: Map<string, string | undefined>;
  /** Names the instruction at hand asked for in vain. */
  readonly unset = new Set<string>();

  constructor(
    base: Pick<StageState, 'image' | 'env' | 'buildArgs'>,
    private readonly planning: Pick<StagePlanning, 'escape' | 'args' | 'globalArgs'>,
  ) {
    this.env = new Map([...base.env, ...base.image.env()]);
    this.buildArgs = new Map(base.buildArgs);
  }

  readonly expand = (word: string): string => this.expansion(word).text;

  expandAll(word: string): readonly string[] {
    return this.expansion(word).words;
  }

  private expansion(word: string): { readonly text: string; readonly words: readonly string[] } {
    const { text, words, unset } = expand(word, this.env, { escape: this.planning.escape });
    for (const name of unset) this.unset.add(name);
    return { text, words };
  }

  /** @returns each declared argument as history shows it */
  declare(instruction: ArgInstruction): readonly string[] {
    const { args, globalArgs } = this.planning;
    return instruction.args.map((arg) => {
      const value = args[arg.key] ?? (arg.value === undefined ? globalArgs.get(arg.key) : this.expand(arg.value));
      if (value !== undefined && !NO_VARIABLES.has(arg.key)) this.env.set(arg.key, value);
      this.buildArgs.set(arg.key, value);
      return value === undefined ? arg.key : `${arg.key}=${value}`;
    });
  }

  /** Declared arguments with the values a RUN sees. */
  declared(): ReadonlyMap<string, string> {
    return new Map([...this.buildArgs].map(([name, value]) => [name, this.env.get(name) ?? value ?? '']));
  }

  /** The instruction as progress shows it: upper-case name, variables filled in where they are set. */
  shown(code: string): string {
    let text = code;
    try {
      text = expandWord(code, this.env, { escape: this.planning.escape, rawQuotes: true, keepUnset: true });
    } catch {
      // A command may hold what is no Dockerfile variable, for instance ${x@Q}: shown as written.
    }
    const [name = '', ...rest] = text.split(' ');
    return [name.toUpperCase(), ...rest].join(' ');
  }
}
