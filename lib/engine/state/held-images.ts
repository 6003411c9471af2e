/**
 * Which images each instance of a cluster holds: those of its unfinished tasks, and of tasks that ended a while ago. It
 * follows the records of tasks, so there is nothing of it to be kept.
 */
import type { TaskState } from './model.js';

interface Use {
  tasks: number;
  /** When nothing uses it: how long it counts as held. */
  untilMs: number;
}

export class HeldImages {
  /** By image, then by instance. */
  readonly #uses = new Map<string, Map<string, Use>>();
  #seeding: Promise<void> | undefined;

  /** @param stopped reads the tasks that ended before this engine began; asked once */
  seed(keptMs: number, stopped: () => Promise<readonly TaskState[]>): Promise<void> {
    this.#seeding ??= stopped().then((tasks) => {
      for (const task of tasks) {
        for (const use of this.#of(task)) use.untilMs = Math.max(use.untilMs, (task.stoppedAtMs ?? 0) + keptMs);
      }
    });
    return this.#seeding;
  }

  /** A task was written, or (without `after`) taken from the unfinished ones. */
  follow(before: TaskState | undefined, after: TaskState | undefined, untilMs: number): void {
    if (before !== undefined && after !== undefined && imagesOf(before).join() === imagesOf(after).join()) return;
    for (const use of this.#of(after)) use.tasks += 1;
    for (const use of this.#of(before)) {
      use.tasks -= 1;
      use.untilMs = Math.max(use.untilMs, untilMs);
    }
  }

  /** The images that are held, as `repository@digest`, with the instances that hold them. */
  now(nowMs: number): ReadonlyMap<string, readonly string[]> {
    const held = new Map<string, readonly string[]>();
    for (const [image, instances] of this.#uses) {
      for (const [instance, { tasks, untilMs }] of instances) {
        if (tasks <= 0 && untilMs <= nowMs) instances.delete(instance);
      }
      if (instances.size === 0) this.#uses.delete(image);
      else held.set(image, [...instances.keys()]);
    }
    return held;
  }

  #of(task: TaskState | undefined): Use[] {
    const instance = task?.instanceId;
    if (task === undefined || instance === undefined) return [];
    return imagesOf(task).map((image) => {
      const instances = this.#uses.get(image) ?? new Map<string, Use>();
      this.#uses.set(image, instances);
      const use = instances.get(instance) ?? { tasks: 0, untilMs: 0 };
      instances.set(instance, use);
      return use;
    });
  }
}

/** Of containers whose image was there at least once: what its name means may be another image tomorrow. */
function imagesOf({ instanceId, containers }: TaskState): readonly string[] {
  if (instanceId === undefined) return [];
  const images = containers.flatMap(({ image, imageDigest }) =>
    imageDigest === undefined ? [] : [`${image.replace(/@.*$/, '').replace(/:[^:/]*$/, '')}@${imageDigest}`],
  );
  return [...new Set(images)];
}
