/** An operation that is killed at each of its writes, and what must hold whenever that happened. */
import type { FunctionName } from '../cloud.js';
import type { KillLab } from './lab.js';

export interface Subject {
  /** The operation once, from outside. @returns whether it was acknowledged; a death is an answer, or a rejection */
  act(): Promise<boolean>;
  /**
   * What the platform does by itself, then the caller's repetition.
   * @throws whatever says that something was lost, or happened twice
   */
  check(acknowledged: boolean): Promise<void>;
}

export interface Operation {
  readonly name: string;
  readonly dies: FunctionName;
  /** What has to be there before; each id is a world of its own. */
  prepare(lab: KillLab, id: string): Promise<Subject>;
}
