/**
 * RecordStore over one DynamoDB table with string keys `pk` and `sk` and time to live on `ttl`. All reads are
 * consistent. A request that the SDK repeats after a lost answer is recognised, so that its own first success is not
 * taken for a lost race: by a stamp in the item for puts, by the client request token for everything else.
 */
import { DynamoDBClient, type DynamoDBClientConfig } from '@aws-sdk/client-dynamodb';
import {
  DeleteCommand,
  DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  TransactWriteCommand,
  UpdateCommand,
  type QueryCommandInput,
} from '@aws-sdk/lib-dynamodb';
import { awsErrorName, awsFailure } from './aws-failure.js';
import type {
  Clock,
  Expect,
  Ids,
  QueryOptions,
  RecordKey,
  RecordPage,
  RecordStore,
  RecordWrite,
  StoredRecord,
  TransactResult,
  WriteResult,
} from '../ports.js';
import {
  MAX_PAGE_BYTES,
  checkKey,
  checkTransaction,
  encodeCursor,
  sortWindow,
  type SortWindow,
} from '../record-rules.js';
import { actionOf, itemKey, recordOf, type Action, type Item } from './record-writes-dynamodb.js';

/** Tries while other transactions hold the same items; together about ten seconds. */
const CONFLICT_TRIES = 16;
const CONFLICT_FIRST_MS = 20;
const CONFLICT_LONGEST_MS = 1_000;

export interface DynamoDbRecordStoreDeps {
  /** Made by `dynamoDbClient`. */
  readonly client: DynamoDBDocumentClient;
  readonly clock: Clock;
  readonly ids: Ids;
}

/**
 * A document client as the adapter needs it: a stuck connection is given up and tried again.
 * @param answerMs after which a call without an answer is given up
 */
export function dynamoDbClient(config: DynamoDBClientConfig, answerMs = 10_000): DynamoDBDocumentClient {
  const requestHandler = { connectionTimeout: 2_000, requestTimeout: answerMs, throwOnRequestTimeout: true };
  return DynamoDBDocumentClient.from(new DynamoDBClient({ maxAttempts: 4, requestHandler, ...config }));
}

export class DynamoDbRecordStore implements RecordStore {
  constructor(
    private readonly deps: DynamoDbRecordStoreDeps,
    private readonly options: { readonly table: string },
  ) {}

  async get<T extends object>(key: RecordKey): Promise<StoredRecord<T> | undefined> {
    checkKey(key);
    return recordOf<T>(await this.item(key), this.deps.clock.nowMs());
  }

  async put(
    key: RecordKey,
    value: object,
    options: { readonly expect?: Expect; readonly expiresAtMs?: number } = {},
  ): Promise<WriteResult> {
    const write: RecordWrite = { op: 'put', key, value, ...options };
    checkTransaction([write]);
    const stamp = this.deps.ids.hex(8);
    let isExpired = false;
    for (let tried = 1; ; tried++) {
      try {
        return { outcome: 'written', version: await this.putOnce(write, stamp, isExpired) };
      } catch (error) {
        if (isConflict(error) && tried < CONFLICT_TRIES) await this.backOff(tried);
        else if (awsErrorName(error) !== 'ConditionalCheckFailedException') throw awsFailure('DynamoDB', error);
        else if (write.expect === undefined || write.expect === 'any') isExpired = !isExpired;
        else return this.lostOrRepeated(key, stamp, error);
      }
    }
  }

  async delete(key: RecordKey, options: { readonly expect?: Expect } = {}): Promise<WriteResult> {
    const result = await this.transact([{ op: 'delete', key, ...options }]);
    return result.outcome === 'lost' ? { outcome: 'lost' } : { outcome: 'written', version: 0 };
  }

  async query<T extends object>(partition: string, options: QueryOptions = {}): Promise<RecordPage<T>> {
    checkKey({ partition, sort: '-' });
    const window = sortWindow(options);
    if (window === undefined) return { records: [] };
    const nowMs = this.deps.clock.nowMs();
    const records: StoredRecord<T>[] = [];
    const input: QueryCommandInput = {
      TableName: this.options.table,
      ...keyCondition(partition, window),
      ConsistentRead: true,
      ScanIndexForward: !window.reverse,
    };
    let bytes = 0;
    let start: Record<string, unknown> | undefined;
    do {
      // Two more for the ends that the range includes, one more to see whether anything follows.
      const from = {
        Limit: window.limit - records.length + 3,
        ...(start === undefined ? {} : { ExclusiveStartKey: start }),
      };
      const page = await this.call(() => this.deps.client.send(new QueryCommand({ ...input, ...from })));
      for (const item of (page.Items ?? []) as Item[]) {
        const record = window.accepts(item.sk) ? recordOf<T>(item, nowMs) : undefined;
        if (record === undefined) continue;
        const last = records.at(-1);
        if (last !== undefined && (records.length === window.limit || bytes >= MAX_PAGE_BYTES)) {
          return { records, cursor: encodeCursor(last.sort) };
        }
        bytes += item.v.length;
        records.push(record);
      }
      start = page.LastEvaluatedKey;
    } while (start !== undefined);
    return { records };
  }

  async transact(writes: readonly RecordWrite[]): Promise<TransactResult> {
    checkTransaction(writes);
    const expired = new Set<number>();
    for (let tried = 1; ; tried++) {
      const context = { table: this.options.table, nowMs: this.deps.clock.nowMs(), stamp: this.deps.ids.hex(8) };
      const planned = writes.flatMap((write, index) => {
        const action = actionOf(write, context, expired.has(index));
        return action === undefined ? [] : [{ action, index, write }];
      });
      const codes = await this.transactOnce(planned.map(({ action }) => action));
      if (codes === undefined) return { outcome: 'written' };
      const failed = planned.filter((_plan, at) => codes[at] === 'ConditionalCheckFailed');
      const flipped = failed.filter(({ write }) => write.op === 'put' && (write.expect ?? 'any') === 'any');
      const lost = failed.find((plan) => !flipped.includes(plan));
      if (lost !== undefined) return { outcome: 'lost', index: lost.index };
      for (const { index } of flipped) if (!expired.delete(index)) expired.add(index);
      if (flipped.length > 0) continue;
      if (tried >= CONFLICT_TRIES) throw awsFailure('DynamoDB', new Error('TransactionConflict'));
      await this.backOff(tried);
    }
  }

  /** Undefined when written, else one reason per action. */
  private async transactOnce(actions: readonly Action[]): Promise<readonly string[] | undefined> {
    const [only] = actions;
    if (only === undefined) return undefined;
    try {
      if (actions.length === 1 && only.Delete !== undefined && only.Delete.ConditionExpression === undefined) {
        await this.deps.client.send(new DeleteCommand(only.Delete));
      } else {
        const ClientRequestToken = this.deps.ids.hex(16);
        await this.deps.client.send(new TransactWriteCommand({ TransactItems: [...actions], ClientRequestToken }));
      }
      return undefined;
    } catch (error) {
      const codes = cancellationCodes(error);
      const isKnown = codes.some((code) => code === 'ConditionalCheckFailed' || code === 'TransactionConflict');
      if (isKnown || isConflict(error)) return codes;
      throw awsFailure('DynamoDB', error);
    }
  }

  private async putOnce(write: RecordWrite, stamp: string, isExpired: boolean): Promise<number> {
    const context = { table: this.options.table, nowMs: this.deps.clock.nowMs(), stamp };
    const { Put, Update } = actionOf(write, context, isExpired) ?? {};
    if (Put !== undefined) {
      await this.deps.client.send(new PutCommand(Put));
      return (Put.Item as Item).n;
    }
    if (Update === undefined) throw new Error('a put is either of the two');
    const result = await this.deps.client.send(new UpdateCommand({ ...Update, ReturnValues: 'UPDATED_NEW' }));
    return (result.Attributes as Item).n;
  }

  /** A condition that fails on a repeated request may fail because the first one came through. */
  private async lostOrRepeated(key: RecordKey, stamp: string, error: unknown): Promise<WriteResult> {
    if (attemptsOf(error) < 2) return { outcome: 'lost' };
    const item = await this.item(key);
    return item?.w === stamp ? { outcome: 'written', version: item.n } : { outcome: 'lost' };
  }

  private async item(key: RecordKey): Promise<Item | undefined> {
    const command = new GetCommand({ TableName: this.options.table, Key: itemKey(key), ConsistentRead: true });
    return (await this.call(() => this.deps.client.send(command))).Item as Item | undefined;
  }

  private async call<T>(send: () => Promise<T>): Promise<T> {
    try {
      return await send();
    } catch (error) {
      throw awsFailure('DynamoDB', error);
    }
  }

  private async backOff(tried: number): Promise<void> {
    const longest = Math.min(CONFLICT_LONGEST_MS, CONFLICT_FIRST_MS * 2 ** tried);
    await this.deps.clock.sleep(Math.random() * longest);
  }
}

function keyCondition(
  partition: string,
  { low, high }: SortWindow,
): Pick<QueryCommandInput, 'KeyConditionExpression' | 'ExpressionAttributeValues'> {
  const bounds = { ...(low === undefined ? {} : { ':low': low }), ...(high === undefined ? {} : { ':high': high }) };
  const from = low === undefined ? '' : ' AND sk >= :low';
  const to = high === undefined ? '' : ' AND sk <= :high';
  const range = from !== '' && to !== '' ? ' AND sk BETWEEN :low AND :high' : from + to;
  return {
    KeyConditionExpression: `pk = :pk${range}`,
    ExpressionAttributeValues: { ':pk': partition, ...bounds },
  };
}

function isConflict(error: unknown): boolean {
  return ['TransactionConflictException', 'TransactionInProgressException'].includes(awsErrorName(error));
}

function cancellationCodes(error: unknown): readonly string[] {
  if (typeof error !== 'object' || error === null || !('CancellationReasons' in error)) return [];
  const reasons = error.CancellationReasons as readonly { readonly Code?: string }[] | undefined;
  return (reasons ?? []).map(({ Code }) => Code ?? 'None');
}

function attemptsOf(error: unknown): number {
  const metadata = (error as { $metadata?: { attempts?: number } }).$metadata;
  return metadata?.attempts ?? 1;
}
