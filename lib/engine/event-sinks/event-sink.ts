/** Where events go beside the control plane. A sink must neither throw nor wait: the engine goes on. */
import type { EngineEvent } from '../types.js';

export interface EventSink {
  take(event: EngineEvent): void;
  /** What was taken is brought to its end, as far as that takes no long wait. */
  close(): Promise<void>;
}
