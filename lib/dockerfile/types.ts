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
  readonly content: string;
  /** False when the delimiter was quoted. */
  readonly expand: boolean;
  readonly fileDescriptor: number;
}

export interface Flag {
  /** Without the dashes: `from`, `chown`, `mount`. */
  readonly name: string;
  /** As written; absent for a bare boolean flag. */
  readonly value?: string;
}

interface InstructionBase {
  readonly range: SourceRange;
  /** The instruction as it stands in the file, all its lines. */
  readonly original: string;
}

/** The command of RUN, CMD, ENTRYPOINT, SHELL and HEALTHCHECK CMD. */
export type CommandForm =
  { readonly form: 'exec'; readonly args: readonly string[] } | { readonly form: 'shell'; readonly command: string };

export interface KeyValue {
  readonly key: string;
  /** As written. */
  readonly value: string;
}

export interface FromInstruction extends InstructionBase {
  readonly kind: 'from';
  readonly image: string;
  readonly name?: string;
  readonly platform?: string;
}
export interface ArgInstruction extends InstructionBase {
  readonly kind: 'arg';
  readonly args: readonly { readonly key: string; readonly value?: string }[];
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
  /** As written, at least one (heredoc sources are in `heredocs`). */
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
  readonly line: number;
}

export interface Dockerfile {
  /** Name for messages, e.g. `Dockerfile`. */
  readonly fileName: string;
  readonly escape: '\\' | '`';
  /** ARG before the first FROM. */
  readonly globalArgs: readonly ArgInstruction[];
  readonly stages: readonly Stage[];
  readonly warnings: readonly LintWarning[];
}
