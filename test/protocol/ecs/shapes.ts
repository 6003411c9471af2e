/**
 * The answers of the engine beside the service model that the SDK carries: no member that the model does not have, each
 * of its type, times as seconds since 1970.
 */
import * as sdk from '@aws-sdk/client-ecs';

/** The SDK's compact schemas: a number for what is simple, an array for a shape, a function that gives one. */
type Schema = number | readonly unknown[] | (() => Schema);

const KIND = { list: 1, map: 2, structure: 3, operation: 9 };
const SIMPLE: Readonly<Record<number, string>> = { 0: 'string', 1: 'number', 2: 'boolean', 4: 'time', 15: 'document' };
const LIST_OF = 64;
const MAP_OF = 128;
/** Seconds: from 2001 until 2096. Milliseconds are far above. */
const TIMES = [1e9, 4e9] as const;

/** What is wrong with the answer, each with its path; empty when nothing is. @throws for an operation that is none */
export function shapeProblems(operation: string, answer: unknown): string[] {
  const schema = (sdk as unknown as Readonly<Record<string, readonly unknown[]>>)[`${operation}$`];
  if (schema?.[0] !== KIND.operation) throw new Error(`the SDK has no schema of ${operation}`);
  return check(schema[5] as Schema, answer, operation);
}

function check(schema: Schema, value: unknown, path: string): string[] {
  if (typeof schema === 'function') return check(schema(), value, path);
  if (typeof schema === 'number') return checkSimple(schema, value, path);
  // A schema with traits of its own is a pair.
  if (typeof schema[0] !== 'number') return check(schema[0] as Schema, value, path);
  switch (schema[0]) {
    case KIND.list:
      return checkList(schema[4] as Schema, value, path);
    case KIND.map:
      return checkMap(schema[5] as Schema, value, path);
    case KIND.structure:
      return checkStructure(schema, value, path);
    default:
      return checkSimple(Number(schema[4] ?? schema[0]), value, path);
  }
}

function checkSimple(schema: number, value: unknown, path: string): string[] {
  if ((schema & MAP_OF) !== 0) return checkMap(schema & ~MAP_OF, value, path);
  if ((schema & LIST_OF) !== 0) return checkList(schema & ~LIST_OF, value, path);
  const wanted = SIMPLE[schema] ?? `type ${String(schema)}`;
  if (wanted === 'document') return [];
  if (wanted !== 'time') return typeof value === wanted ? [] : [`${path} is ${typeof value}, not ${wanted}`];
  const isTime = typeof value === 'number' && value > TIMES[0] && value < TIMES[1];
  return isTime ? [] : [`${path} is ${String(value)}, not seconds since 1970`];
}

function checkList(member: Schema, value: unknown, path: string): string[] {
  if (!Array.isArray(value)) return [`${path} is no list`];
  return value.flatMap((each, index) => check(member, each, `${path}[${String(index)}]`));
}

function checkMap(member: Schema, value: unknown, path: string): string[] {
  if (!isObject(value)) return [`${path} is no map`];
  return Object.entries(value).flatMap(([name, each]) => check(member, each, `${path}.${name}`));
}

function checkStructure(schema: readonly unknown[], value: unknown, path: string): string[] {
  if (!isObject(value)) return [`${path} is no structure`];
  const names = schema[4] as readonly string[];
  const members = schema[5] as readonly Schema[];
  return Object.entries(value).flatMap(([name, each]) => {
    const index = names.indexOf(name);
    if (index < 0) return [`${path}.${name} is no member of ${String(schema[2])}`];
    return check(members[index] ?? 0, each, `${path}.${name}`);
  });
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
