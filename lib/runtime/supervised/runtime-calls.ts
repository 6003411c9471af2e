/** What is asked of the OCI runtime about one container: of the one that made it, whichever makes new ones. */
import { type CommandResult, runCommand } from '../host/host-command.js';
import { scopePaths } from '../host/host-scope.js';
import { type OciRuntime, runtimeOf } from '../oci-runtime/oci-runtime.js';
import type { HostScope } from '../types.js';
import type { ContainerInit } from './container-init.js';

const PATIENCE_MS = 60_000;

export class RuntimeCalls {
  constructor(
    private readonly scope: HostScope,
    /** Makes new containers. */
    readonly ofNew: OciRuntime,
  ) {}

  ask(id: string, ...args: readonly string[]): Promise<CommandResult> {
    return this.askFor(id, PATIENCE_MS, ...args);
  }

  async askFor(id: string, timeoutMs: number, ...args: readonly string[]): Promise<CommandResult> {
    const runtime = runtimeOf(this.scope, id) ?? this.ofNew;
    return runCommand(runtime, ['--root', scopePaths.runtimeRoot(this.scope, runtime), ...args], { timeoutMs });
  }

  /** Of a container whose runtime writes its state down otherwise than is known here. */
  async toldInit(id: string): Promise<ContainerInit | undefined> {
    if (runtimeOf(this.scope, id) === undefined) return undefined;
    const result = await this.ask(id, 'state', id);
    if (result.exitCode !== 0) return undefined;
    const { status, pid } = JSON.parse(result.stdout) as { status: string; pid: number };
    return { pid, lives: status !== 'stopped', waits: status === 'created' };
  }
}
