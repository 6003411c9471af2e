/** Asks a parsed query about one instance. A subject the instance does not have makes every comparison false. */
import { invalidParameter } from '../ecs-error.js';
import type { Comparison, Query } from './query.js';
import type { InstanceSnapshot } from './snapshot.js';

/** @throws InvalidParameterException for a value that does not fit its subject, such as a date that is none */
export function evaluate(query: Query, instance: InstanceSnapshot): boolean {
  switch (query.kind) {
    case 'or':
      return query.parts.some((part) => evaluate(part, instance));
    case 'and':
      return query.parts.every((part) => evaluate(part, instance));
    case 'not':
      return !evaluate(query.part, instance);
    case 'exists':
      return valuesOf(query.subject, instance).length > 0;
    case 'in':
      return valuesOf(query.subject, instance).some((value) => query.values.includes(value));
    case 'matches':
      return valuesOf(query.subject, instance).some((value) => query.pattern(value));
    case 'compare':
    default:
      return compares(query.subject, query.operator, query.value, instance);
  }
}

/** `task:group` has as many values as the instance has groups; every other subject has one or none. */
function valuesOf(subject: string, instance: InstanceSnapshot): readonly string[] {
  switch (subject) {
    case 'task:group':
      return [...instance.groups.keys()];
    case 'agentConnected':
      return [String(instance.agentConnected)];
    case 'agentVersion':
      return instance.agentVersion === undefined ? [] : [instance.agentVersion];
    case 'ec2InstanceId':
      return [instance.ec2InstanceId];
    case 'registeredAt':
      return [String(instance.registeredAtMs)];
    case 'runningTasksCount':
      return [String(instance.runningTasksCount)];
    default: {
      const name = subject.slice('attribute:'.length);
      if (!instance.attributes.has(name)) return [];
      return [instance.attributes.get(name) ?? ''];
    }
  }
}

function compares(subject: string, operator: Comparison, wanted: string, instance: InstanceSnapshot): boolean {
  const values = valuesOf(subject, instance);
  // `!=` holds when no value is equal, so that `task:group != x` means "runs nothing of group x".
  if (operator === '!=') return !values.some((value) => order(subject, value, wanted) === 0);
  return values.some((value) => holds(operator, order(subject, value, wanted)));
}

function holds(operator: Exclude<Comparison, '!='>, order: number): boolean {
  switch (operator) {
    case '==':
      return order === 0;
    case '>':
      return order > 0;
    case '>=':
      return order >= 0;
    case '<':
      return order < 0;
    case '<=':
    default:
      return order <= 0;
  }
}

function order(subject: string, value: string, wanted: string): number {
  if (subject === 'registeredAt') return Number(value) - dateOf(wanted);
  if (subject === 'agentVersion') return versionOrder(value, wanted);
  const numbers = [Number(value), Number(wanted)] as const;
  if (value.trim() !== '' && wanted.trim() !== '' && !Number.isNaN(numbers[0]) && !Number.isNaN(numbers[1])) {
    return numbers[0] - numbers[1];
  }
  if (value === wanted) return 0;
  return value < wanted ? -1 : 1;
}

const DATE = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:?\d{2})?)?$/;

/** `2026-06-18`, with `T22:28:28`, with a zone or with milliseconds; without a zone it is UTC. */
function dateOf(text: string): number {
  const zoned = /T.*(Z|[+-]\d{2}:?\d{2})$/.test(text) ? text : text.includes('T') ? `${text}Z` : text;
  const time = DATE.test(text) ? Date.parse(zoned) : Number.NaN;
  if (Number.isNaN(time))
    throw invalidParameter(`"${text}" is no date such as 2026-06-18 or 2026-06-18T22:28:28+00:00.`);
  return time;
}

function versionOrder(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.replace(/^v/, '').split(/[.-]/).map(Number)) as [
    number[],
    number[],
  ];
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
