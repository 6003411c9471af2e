/** Target groups whose health the test sets. Keeps what was registered and in which order things happened. */
import type { Target, TargetGroups } from '../../lib/engine/index.js';

type Health = ReturnType<TargetGroups['health']>;

export class ScriptedTargetGroups implements TargetGroups {
  readonly log: string[] = [];
  readonly #health = new Map<string, Health>();
  readonly #draining = new Map<string, () => void>();
  /** What a target is right after it was registered. */
  initial: Health = 'healthy';
  /** With this, `deregister` waits for `drained`. */
  holdDrains = false;

  register(arn: string, target: Target): Promise<void> {
    this.log.push(`register ${key(arn, target)}`);
    this.#health.set(key(arn, target), this.initial);
    return Promise.resolve();
  }

  deregister(arn: string, target: Target): Promise<void> {
    this.log.push(`deregister ${key(arn, target)}`);
    this.#health.delete(key(arn, target));
    if (!this.holdDrains) return Promise.resolve();
    return new Promise((resolve) => this.#draining.set(key(arn, target), resolve));
  }

  health(arn: string, target: Target): Health {
    return this.#health.get(key(arn, target)) ?? 'unused';
  }

  get registered(): string[] {
    return [...this.#health.keys()];
  }

  setAll(health: Health): void {
    for (const name of this.#health.keys()) this.#health.set(name, health);
  }

  set(name: string, health: Health): void {
    this.#health.set(name, health);
  }

  /** The last requests of every draining target have ended. */
  drained(): void {
    for (const resolve of this.#draining.values()) resolve();
    this.#draining.clear();
  }
}

const key = (arn: string, target: Target): string => `${arn} ${target.host}:${String(target.port)}`;
