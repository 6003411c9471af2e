/** How every call of ECS is made: within its rates, repeated when the failure passes by itself, in its batches and pages. */
import type { ECSClient } from '@aws-sdk/client-ecs';
import { AppError } from '../../errors/index.js';
import type { Clock } from '../../store/index.js';
import { isEcsError, toEcsError } from './errors.js';
import type { EcsRates } from './rates.js';
import { type RetryOptions, withRetry } from './retry.js';
import type * as Sdk from './sdk.js';

type EcsSdk = typeof Sdk;

export interface EcsCallOptions extends RetryOptions {
  /** Amazon's; an engine of our own has none. */
  readonly rates?: EcsRates;
}

/** The client of ECS, loaded when it is first called. */
export type EcsConnection = () => Promise<ECSClient>;

export class EcsCalls {
  constructor(
    private readonly connect: EcsConnection,
    readonly clock: Clock,
    readonly options: EcsCallOptions = {},
  ) {}

  /** @param operation as ECS names it, e.g. `RunTask` */
  call<T>(operation: string, send: (sdk: EcsSdk, client: ECSClient) => Promise<T>): Promise<T> {
    const once = async (): Promise<T> => {
      await this.options.rates?.take(operation, this.options.signal);
      const [sdk, client] = await Promise.all([import('./sdk.js'), this.connect()]);
      try {
        return await send(sdk, client);
      } catch (error) {
        throw toEcsError(error, operation);
      }
    };
    return withRetry(this.clock, once, this.options);
  }

  /** Asks for so many names at a time. */
  async batched<T>(
    names: readonly string[],
    size: number,
    describe: (batch: string[]) => Promise<readonly T[]>,
  ): Promise<readonly T[]> {
    const found: T[] = [];
    for (let start = 0; start < names.length; start += size) {
      found.push(...(await describe(names.slice(start, start + size))));
    }
    return found;
  }

  async pages<T>(
    page: (nextToken: string | undefined) => Promise<{ items: readonly T[]; nextToken: string | undefined }>,
  ): Promise<readonly T[]> {
    const found: T[] = [];
    let nextToken: string | undefined;
    do {
      const answer = await page(nextToken);
      found.push(...answer.items);
      nextToken = answer.nextToken;
    } while (nextToken !== undefined);
    return found;
  }
}

/** False when it was refused because there is no such thing. */
export async function absentIsFine(names: readonly string[], call: () => Promise<unknown>): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    if (isEcsError(error, ...names)) return false;
    throw error;
  }
}

/** @throws AppError ECS_ANSWER_INVALID */
export function present<T>(value: T | undefined, operation: string, member: string): T {
  if (value === undefined) {
    throw new AppError('ECS_ANSWER_INVALID', `ECS ${operation} answered without ${member}`, { kind: 'internal' });
  }
  return value;
}
