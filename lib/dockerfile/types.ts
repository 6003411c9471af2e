/**
 * The Dockerfile as data: what the parser yields and the builder reads. Words are kept as written (quotes, `$` and
 * escapes included); `expandWord` turns them into values when the stage's environment is known.
 */

/** One-based line and column. */
export interface SourcePosition {
  readonly line: number;
  readonly column: number;
}

export interface SourceRange {
  readonly start: SourcePosition;
  readonly end: SourcePosition;
}

export interface Heredoc {
  /** The delimiter without quotes. */
  readonly name: string;
  /** The body as a file gets it: leading tabs are gone when it was opened with `<<-`. */
  readonly content: string;
  /** The body as written, tabs included. */
  readonly raw: string;
  /** False when the delimiter was quoted. */
  readonly expand: boolean;
  /** Opened with `<<-`. */
  readonly stripTabs: boolean;
  readonly fileDescriptor: number;
}

export interface Flag {
  /** Without the dashes: `from`, `chown`, `mount`. */
  readonly name: string;
  /** As written; absent for a bare boolean flag. */
  readonly value?: string;
}

/** What every instruction has, whatever its kind. */
export interface InstructionBase {
  readonly range: SourceRange;
  /** The instruction as it stands in the file, all its lines. */
  readonly original: string;
  /** The word that named it, as written: `RUN` or `run`. */
  readonly keyword: string;
  /** The logical line: continuations joined, comments and heredoc bodies left out. BuildKit names steps by it. */
  readonly code: string;
  /** Comments above it, without the `#`; `check=skip=…` among them silences rules for this instruction. */
  readonly comments: readonly string[];
}

/** The command of RUN, CMD, ENTRYPOINT, SHELL and HEALTHCHECK CMD. */
export type CommandForm =
  { readonly form: 'exec'; readonly args: readonly string[] } | { readonly form: 'shell'; readonly command: string };

export interface KeyValue {
  /** As written: it may hold variables too. */
  readonly key: string;
  /** As written. */
  readonly value: string;
  /** Written as `KEY value`, without `=`. */
  readonly legacy?: true;
}

export interface ArgDeclaration {
  readonly key: string;
  /** The default, as written; absent for a bare name. */
  readonly value?: string;
  /** From a comment `# <key> <description>` above it. */
  readonly description?: string;
}

export interface FromInstruction extends InstructionBase {
  readonly kind: 'from';
  /** As written: it may hold global arguments. */
  readonly image: string;
  /** Lower case. */
  readonly name?: string;
  /** As written. */
  readonly platform?: string;
  /** From a comment `# <name> <description>` above it. */
  readonly description?: string;
}
export interface ArgInstruction extends InstructionBase {
  readonly kind: 'arg';
  readonly args: readonly ArgDeclaration[];
}
export interface EnvInstruction extends InstructionBase {
  readonly kind: 'env';
  readonly pairs: readonly KeyValue[];
}
export interface LabelInstruction extends InstructionBase {
  readonly kind: 'label';
  readonly pairs: readonly KeyValue[];
}
export interface WorkdirInstruction extends InstructionBase {
  readonly kind: 'workdir';
  readonly path: string;
}
export interface UserInstruction extends InstructionBase {
  readonly kind: 'user';
  readonly user: string;
}
export interface RunInstruction extends InstructionBase {
  readonly kind: 'run';
  readonly command: CommandForm;
  readonly flags: readonly Flag[];
  readonly heredocs: readonly Heredoc[];
}
/** COPY and ADD. */
export interface CopyInstruction extends InstructionBase {
  readonly kind: 'copy' | 'add';
  /** As written; at least one, unless all sources are heredocs (those are in `heredocs`, in their order). */
  readonly sources: readonly string[];
  readonly destination: string;
  readonly flags: readonly Flag[];
  readonly heredocs: readonly Heredoc[];
}
export interface CmdInstruction extends InstructionBase {
  readonly kind: 'cmd' | 'entrypoint';
  readonly command: CommandForm;
}
export interface ShellInstruction extends InstructionBase {
  readonly kind: 'shell';
  readonly args: readonly string[];
}
export interface ExposeInstruction extends InstructionBase {
  readonly kind: 'expose';
  /** As written, sorted. */
  readonly ports: readonly string[];
}
export interface VolumeInstruction extends InstructionBase {
  readonly kind: 'volume';
  readonly paths: readonly string[];
}
export interface StopSignalInstruction extends InstructionBase {
  readonly kind: 'stopsignal';
  readonly signal: string;
}
export interface HealthcheckInstruction extends InstructionBase {
  readonly kind: 'healthcheck';
  /** Undefined for NONE. */
  readonly command?: CommandForm;
  /** Nanoseconds, as docker's config has them. */
  readonly intervalNs?: number;
  readonly timeoutNs?: number;
  readonly startPeriodNs?: number;
  readonly startIntervalNs?: number;
  readonly retries?: number;
}
export interface MaintainerInstruction extends InstructionBase {
  readonly kind: 'maintainer';
  readonly name: string;
}
export interface OnbuildInstruction extends InstructionBase {
  readonly kind: 'onbuild';
  /** The instruction to run in the child, as text. */
  readonly expression: string;
}

export type Instruction =
  | ArgInstruction
  | EnvInstruction
  | LabelInstruction
  | WorkdirInstruction
  | UserInstruction
  | RunInstruction
  | CopyInstruction
  | CmdInstruction
  | ShellInstruction
  | ExposeInstruction
  | VolumeInstruction
  | StopSignalInstruction
  | HealthcheckInstruction
  | MaintainerInstruction
  | OnbuildInstruction;

export interface Stage {
  readonly from: FromInstruction;
  readonly index: number;
  readonly instructions: readonly Instruction[];
}

export interface LintWarning {
  /** Rule name as BuildKit has it, e.g. `JSONArgsRecommended`. */
  readonly rule: string;
  readonly message: string;
  /** One-based; 0 when the finding has no place. */
  readonly line: number;
  /** Where docker explains the rule; absent for the rule it has no page for. */
  readonly url?: string;
}

/** `# check=skip=A,B;error=true;experimental=C`, or `all` in the place of a list. */
export interface CheckOptions {
  readonly skip: ReadonlySet<string> | 'all';
  readonly experimental: ReadonlySet<string> | 'all';
  /** Warnings fail the build. */
  readonly error: boolean;
}

/** A logical line cut into words, before anything is known about its instruction: BuildKit's parse tree. */
export interface Statement {
  readonly keyword: string;
  /** With dashes, quotes and escapes resolved: `--from=x`. */
  readonly flags: readonly string[];
  /** ENV and LABEL have three words a pair: key, value, and `=` or nothing. */
  readonly words: readonly string[];
  /** The words came from a JSON array. */
  readonly json: boolean;
  /** The instruction inside ONBUILD. */
  readonly nested?: Statement;
  readonly heredocs: readonly Heredoc[];
  readonly comments: readonly string[];
  /** The joined line. */
  readonly code: string;
  /** Where the pieces of `code` stand in the file, in order. */
  readonly pieces: readonly LinePiece[];
  readonly startLine: number;
  readonly endLine: number;
}

export interface LinePiece extends SourcePosition {
  /** Index in the joined line where the piece starts. */
  readonly offset: number;
}

export interface Dockerfile {
  /** Name for messages, e.g. `Dockerfile`. */
  readonly fileName: string;
  readonly escape: '\\' | '`';
  /** Value of the `syntax` directive; Wharf has its own frontend and only reports it. */
  readonly syntax?: string;
  readonly check: CheckOptions;
  readonly statements: readonly Statement[];
  /** ARG before the first FROM. */
  readonly globalArgs: readonly ArgInstruction[];
  readonly stages: readonly Stage[];
  readonly warnings: readonly LintWarning[];
}
