/**
 * A RecordWrite as DynamoDB expressions. An item: `pk`, `sk`, `v` the value as JSON text, `n` the version, `x` the
 * expiry in epoch milliseconds, `ttl` the same in seconds for DynamoDB's own deletion, `w` the stamp of the write that
 * made it. The value is text, not a map: it then has the same size, number range and depth as everywhere else, and
 * nothing ever filters on it.
 */
import type { TransactWriteCommandInput } from '@aws-sdk/lib-dynamodb';
import type { Expect, RecordKey, RecordWrite, StoredRecord } from '../ports.js';
import { encodeValue, firstVersion } from '../record-rules.js';

export interface Item {
  readonly pk: string;
  readonly sk: string;
  readonly v: string;
  readonly n: number;
  readonly x?: number;
  readonly w: string;
}

/** One action of TransactWriteItems; each of its four members is also the input of the single command. */
export type Action = NonNullable<TransactWriteCommandInput['TransactItems']>[number];

export interface WriteContext {
  readonly table: string;
  readonly nowMs: number;
  /** Marks the item, so that a repeated request can recognise its own first try. */
  readonly stamp: string;
}

interface Condition {
  readonly ConditionExpression?: string;
  readonly ExpressionAttributeValues?: Record<string, string | number>;
}

// DynamoDB deletes expired items late, so an expired one must count as absent here.
const NOT_EXPIRED = '(attribute_not_exists(x) OR x > :now)';
const GONE = 'attribute_not_exists(pk) OR x <= :now';

/**
 * @param isExpired what is known of the record that a put under expect `any` replaces: a live one counts its version
 *   up, an expired one starts again. The condition fails when it is the other way round.
 */
export function actionOf(write: RecordWrite, context: WriteContext, isExpired: boolean): Action | undefined {
  const target = { TableName: context.table, Key: itemKey(write.key) };
  const condition = conditionOf(write.expect ?? 'any', context.nowMs);
  if (write.op === 'delete') return { Delete: { ...target, ...condition } };
  if (write.op === 'check') {
    const { ConditionExpression } = condition;
    return ConditionExpression === undefined
      ? undefined
      : { ConditionCheck: { ...target, ...condition, ConditionExpression } };
  }
  const version = knownVersion(write.expect ?? 'any', isExpired);
  if (version === undefined) return { Update: { ...target, ...updateOf(write, context) } };
  const isAny = write.expect === undefined || write.expect === 'any';
  const firm = isAny ? conditionOf('absent', context.nowMs) : condition;
  return { Put: { TableName: context.table, Item: itemOf(write, version, context.stamp), ...firm } };
}

/** The version that a put will have, where the expectation tells. */
function knownVersion(expect: Expect, isExpired: boolean): number | undefined {
  if (typeof expect === 'object') return expect.version + 1;
  return expect === 'absent' || (expect === 'any' && isExpired) ? firstVersion() : undefined;
}

function conditionOf(expect: Expect, nowMs: number): Condition {
  if (expect === 'any') return {};
  const now = { ':now': nowMs };
  if (expect === 'absent') return { ConditionExpression: GONE, ExpressionAttributeValues: now };
  if (expect === 'present') {
    return { ConditionExpression: `attribute_exists(pk) AND ${NOT_EXPIRED}`, ExpressionAttributeValues: now };
  }
  return {
    ConditionExpression: `n = :version AND ${NOT_EXPIRED}`,
    ExpressionAttributeValues: { ...now, ':version': expect.version },
  };
}

function itemOf(write: RecordWrite & { op: 'put' }, version: number, stamp: string): Item {
  const base = { ...itemKey(write.key), v: encodeValue(write.key, write.value), n: version, w: stamp };
  return write.expiresAtMs === undefined ? base : { ...base, x: write.expiresAtMs, ...ttlOf(write.expiresAtMs) };
}

function updateOf(
  write: RecordWrite & { op: 'put' },
  { nowMs, stamp }: WriteContext,
): {
  UpdateExpression: string;
  ConditionExpression: string;
  ExpressionAttributeNames: Record<string, string>;
  ExpressionAttributeValues: Record<string, string | number>;
} {
  const expires = write.expiresAtMs;
  const set = 'SET v = :v, w = :w, n = if_not_exists(n, :before) + :one';
  return {
    UpdateExpression: expires === undefined ? `${set} REMOVE x, #ttl` : `${set}, x = :x, #ttl = :ttl`,
    ConditionExpression: write.expect === 'present' ? `attribute_exists(pk) AND ${NOT_EXPIRED}` : NOT_EXPIRED,
    ExpressionAttributeNames: { '#ttl': 'ttl' },
    ExpressionAttributeValues: {
      ':v': encodeValue(write.key, write.value),
      ':w': stamp,
      ':before': firstVersion() - 1,
      ':one': 1,
      ':now': nowMs,
      ...(expires === undefined ? {} : { ':x': expires, ':ttl': ttlOf(expires).ttl }),
    },
  };
}

export function itemKey(key: RecordKey): { pk: string; sk: string } {
  return { pk: key.partition, sk: key.sort };
}

/** Undefined when the item has expired. */
export function recordOf<T extends object>(item: Item | undefined, nowMs: number): StoredRecord<T> | undefined {
  if (item === undefined || (item.x !== undefined && item.x <= nowMs)) return undefined;
  const record = { partition: item.pk, sort: item.sk, value: JSON.parse(item.v) as T, version: item.n };
  return item.x === undefined ? record : { ...record, expiresAtMs: item.x };
}

function ttlOf(expiresAtMs: number): { ttl: number } {
  return { ttl: Math.ceil(expiresAtMs / 1000) };
}
