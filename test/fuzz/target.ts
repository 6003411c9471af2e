/** A target takes one input of chance; it may refuse it by an error of ours, and nothing else. */
import { AppError } from '../../lib/errors/index.js';
import type { Random } from './random.js';

export interface Target {
  readonly name: string;
  /** Of all inputs. */
  readonly share: number;
  readonly run: (random: Random) => void | Promise<void>;
}

/** Work that ends, or is refused with a code and a sentence. */
export function settle(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    refused(error);
  }
}

export async function settled(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    refused(error);
  }
}

function refused(error: unknown): void {
  if (!(error instanceof AppError) || error.kind === 'internal' || error instanceof Broken) throw error;
  expectThat(/^[A-Z][A-Z0-9_]+$/.test(error.code) && error.message.length > 3, `no proper refusal: ${error.message}`);
}

class Broken extends AppError {}

export function expectThat(holds: boolean, what: string): void {
  if (!holds) throw new Broken('FUZZ_BROKEN', what, { kind: 'internal' });
}
