/**
 * An EventBridge bus: rules with patterns or schedules, and targets that are functions or queues. An input transformer
 * makes the target's text of the event's members, as a template says.
 */
import { SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import type { LambdaFunction } from './function.js';

/** A member that is named must be there and be one of these; objects go deeper. */
export interface EventPattern {
  readonly [member: string]: EventPattern | readonly PatternValue[];
}

type PatternValue =
  | string
  | number
  | boolean
  | null
  | { readonly prefix: string }
  | { readonly exists: boolean }
  | { readonly 'anything-but': readonly unknown[] };

export type Target =
  { readonly fn: Pick<LambdaFunction, 'invoke'> } | { readonly queueUrl: string; readonly client: SQSClient };

export interface Rule {
  readonly name: string;
  readonly pattern?: EventPattern;
  /** `rate(1 minute)`; such a rule is fired by `fire`. */
  readonly schedule?: string;
  readonly targets: readonly { readonly to: Target; readonly transform?: InputTransformer }[];
}

export interface InputTransformer {
  /** Name → path as `$.detail.startedBy`. */
  readonly paths: Readonly<Record<string, string>>;
  /** JSON with `<name>` in it. */
  readonly template: string;
}

export class EventBus {
  constructor(private readonly rules: readonly Rule[]) {}

  /** Gives the event to every target whose rule has a pattern that it matches. @returns names of those rules */
  async put(event: object): Promise<readonly string[]> {
    const matching = this.rules.filter(({ pattern }) => pattern !== undefined && matches(pattern, event));
    for (const rule of matching) await this.give(rule, event);
    return matching.map(({ name }) => name);
  }

  /** As when the time of all schedules of this bus has come. */
  async fireSchedules(): Promise<void> {
    for (const rule of this.rules.filter(({ schedule }) => schedule !== undefined)) {
      const event = {
        version: '0',
        id: `${rule.name}-${Date.now()}`,
        source: 'aws.events',
        'detail-type': 'Scheduled Event',
        time: new Date().toISOString(),
        resources: [`arn:aws:events:us-east-1:123456789012:rule/${rule.name}`],
        detail: {},
      };
      await this.give(rule, event);
    }
  }

  private async give(rule: Rule, event: object): Promise<void> {
    for (const { to, transform } of rule.targets) {
      const input: unknown = transform === undefined ? event : transformed(transform, event);
      if ('fn' in to) await to.fn.invoke(input);
      else await to.client.send(new SendMessageCommand({ QueueUrl: to.queueUrl, MessageBody: JSON.stringify(input) }));
    }
  }
}

export function matches(pattern: EventPattern, event: unknown): boolean {
  return Object.entries(pattern).every(([member, wanted]) => {
    const value = typeof event === 'object' && event !== null ? Reflect.get(event, member) : undefined;
    if (!isList(wanted)) return matches(wanted, value);
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    return values.some((one) => wanted.some((each) => fits(each, one)));
  });
}

function fits(wanted: PatternValue, value: unknown): boolean {
  if (typeof wanted !== 'object' || wanted === null) return wanted === value;
  if ('prefix' in wanted) return typeof value === 'string' && value.startsWith(wanted.prefix);
  if ('exists' in wanted) return wanted.exists === (value !== undefined);
  return value !== undefined && !wanted['anything-but'].includes(value);
}

function isList(value: EventPattern | readonly PatternValue[]): value is readonly PatternValue[] {
  return Array.isArray(value);
}

/** A placeholder inside a text stands for the value's text; one by itself for the value as JSON. */
function transformed({ paths, template }: InputTransformer, event: object): unknown {
  const text = template.replaceAll(/<([^<>]+)>/g, (_, name: string, at: number) => {
    const value = valueAt(event, paths[name] ?? '');
    const isInText = (template.slice(0, at).match(/"/g) ?? []).length % 2 === 1;
    return isInText && typeof value === 'string' ? value : JSON.stringify(value ?? '');
  });
  return JSON.parse(text) as unknown;
}

function valueAt(event: object, path: string): unknown {
  const members = path.split('.').slice(1);
  return members.reduce<unknown>(
    (at, member) => (typeof at === 'object' && at !== null ? Reflect.get(at, member) : undefined),
    event,
  );
}
