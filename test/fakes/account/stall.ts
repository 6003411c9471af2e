/** One call of a service that is never answered, before the service has done it or after. */
import type { JsonFault } from '../json-api.js';
import type { Moment } from './doom.js';

export class Stall {
  private wanted: { readonly operation: string; readonly moment: Moment } | undefined;
  hasStruck = false;

  /** At the next call of this operation. */
  arm(operation: string, moment: Moment): void {
    this.wanted = { operation, moment };
    this.hasStruck = false;
  }

  fault(operation: string): JsonFault {
    const { wanted } = this;
    if (wanted?.operation !== operation) return undefined;
    this.wanted = undefined;
    this.hasStruck = true;
    return `hang-${wanted.moment}`;
  }
}
