/** The end of a container that is asked to end: its stop signal, patience, and then SIGKILL. */
import { parseSignal } from '../../runtime/index.js';
import type { ContainerRunDeps } from './container-surroundings.js';

export interface StopOptions {
  /** Of the image, as written there. */
  readonly signal: string | undefined;
  readonly timeoutMs: number;
  /** Resolves when the container has ended. */
  readonly ended: Promise<unknown>;
  /** Aborts when the agent goes away. */
  readonly closing: AbortSignal;
}

export class ContainerStop {
  constructor(private readonly deps: Pick<ContainerRunDeps, 'containers' | 'clock' | 'logger'>) {}

  /** Resolves when the container has ended. */
  async stop(id: string, { signal, timeoutMs, ended, closing }: StopOptions): Promise<void> {
    await this.signal(id, this.stopSignal(id, signal));
    const waiting = new AbortController();
    const patience = this.deps.clock.sleep(timeoutMs, AbortSignal.any([waiting.signal, closing])).then(
      () => true,
      () => false,
    );
    const late = await Promise.race([ended.then(() => false), patience]).finally(() => waiting.abort());
    if (late) await this.signal(id, 'SIGKILL');
    await ended;
  }

  /** A container that cannot be signalled is taken down whole; its exit is seen like any other. */
  async signal(id: string, signal: number | string): Promise<void> {
    try {
      await this.deps.containers.kill(id, signal);
    } catch (error) {
      this.deps.logger.warn('a container could not be signalled', { id, error: String(error) });
      await this.deps.containers.delete(id);
    }
  }

  /** @param named by the image */
  stopSignal(id: string, named = ''): number {
    try {
      return parseSignal(named === '' ? 'SIGTERM' : named);
    } catch {
      this.deps.logger.warn('the image names no known stop signal; SIGTERM is sent', { id, named });
      return parseSignal('SIGTERM');
    }
  }
}
