/**
 * Kills a function at one of its writes: the k-th call by which it changes anything in the account, before the service
 * has done it or right after. Its process gets no answer and no chance, as when the machine under it is lost.
 */
import type { LambdaFunction } from '../lambda/function.js';

export type Moment = 'before' | 'after';
export type Cut = 'cut-before' | 'cut-after' | undefined;

const WRITES: Readonly<Record<string, RegExp>> = {
  dynamoDb: /^(Put|Update|Delete|TransactWrite|BatchWrite)/,
  sqs: /^SendMessage/,
  ecs: /^(Create|Update|Delete|Register|Deregister|Run|Stop|Put|Tag)/,
  ecr: /^(Create|Delete|Batch|Put)/,
};

export class Doom {
  private plan: { readonly fn: LambdaFunction; readonly at: number; readonly moment: Moment } | undefined;
  /** Writes of the function since it was armed, by what they were. */
  seen: string[] = [];
  hasStruck = false;

  /** @param at 1 is the next write */
  arm(fn: LambdaFunction, at: number, moment: Moment): void {
    this.plan = { fn, at, moment };
    this.seen = [];
    this.hasStruck = false;
  }

  /** At another environment of the function. */
  aim(fn: LambdaFunction): void {
    if (this.plan !== undefined) this.plan = { ...this.plan, fn };
  }

  disarm(): void {
    this.plan = undefined;
  }

  /** What each service asks at every call. */
  readonly faults = {
    s3: ({ method, path }: { readonly method: string; readonly path: string }): Cut =>
      method === 'GET' || method === 'HEAD' ? undefined : this.write(`s3 ${method} ${path.split('?')[1] ?? ''}`),
    dynamoDb: (operation: string): Cut => this.call('dynamoDb', operation),
    sqs: (operation: string): Cut => this.call('sqs', operation),
    ecs: (operation: string): Cut => this.call('ecs', operation),
    ecr: (operation: string): Cut => this.call('ecr', operation),
  };

  private call(service: string, operation: string): Cut {
    return WRITES[service]?.test(operation) === true ? this.write(`${service} ${operation}`) : undefined;
  }

  private write(what: string): Cut {
    const { plan } = this;
    if (plan === undefined) return undefined;
    // What was on its way when the process died does not arrive.
    if (this.hasStruck) return 'cut-before';
    this.seen.push(what);
    if (this.seen.length < plan.at) return undefined;
    this.hasStruck = true;
    void plan.fn.kill();
    return plan.moment === 'before' ? 'cut-before' : 'cut-after';
  }
}
