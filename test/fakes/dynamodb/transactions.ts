/** TransactWriteItems over an engine that has only single writes: each is tried, and all are undone if one fails. */
import { jsonFailure, type JsonAnswer, type JsonCall } from '../json-api.js';

type AttributeMap = Record<string, unknown>;
type Send = (call: JsonCall) => Promise<JsonAnswer>;

interface Operand {
  readonly TableName: string;
  readonly Key?: AttributeMap;
  readonly Item?: AttributeMap;
  readonly ConditionExpression?: string;
}

interface Undo {
  readonly table: string;
  readonly key: AttributeMap;
  readonly before: AttributeMap | undefined;
}

interface Reason {
  readonly Code: string;
  readonly Message?: string;
}

const MAX_ACTIONS = 100;
const VALIDATION = 'com.amazon.coral.validate#ValidationException';
const NAMESPACE = 'com.amazonaws.dynamodb.v20120810#';

export class Transactions {
  private readonly keyNames = new Map<string, readonly string[]>();
  private readonly done = new Map<string, string>();

  constructor(private readonly send: Send) {}

  async write(call: JsonCall): Promise<JsonAnswer> {
    const actions = (call.input['TransactItems'] ?? []) as readonly Record<string, Operand>[];
    if (actions.length < 1 || actions.length > MAX_ACTIONS) {
      return jsonFailure(400, VALIDATION, `Member must have length between 1 and ${MAX_ACTIONS}`);
    }
    const token = call.input['ClientRequestToken'];
    const text = JSON.stringify(actions);
    if (typeof token === 'string' && this.done.has(token)) {
      if (this.done.get(token) === text) return { status: 200, body: '{}' };
      return jsonFailure(400, `${NAMESPACE}IdempotentParameterMismatchException`);
    }
    const targets = await Promise.all(actions.map((action) => this.target(call, action)));
    if (new Set(targets.map((target) => JSON.stringify(target))).size < targets.length) {
      return jsonFailure(400, VALIDATION, 'Transaction request cannot include multiple operations on one item');
    }
    const result = await this.tryAll(call, actions, targets);
    if (result.status === 200 && typeof token === 'string') this.done.set(token, text);
    return result;
  }

  private async tryAll(
    call: JsonCall,
    actions: readonly Record<string, Operand>[],
    targets: readonly { readonly table: string; readonly key: AttributeMap }[],
  ): Promise<JsonAnswer> {
    const undo: Undo[] = [];
    const reasons: Reason[] = [];
    let refusal: JsonAnswer | undefined;
    for (const [index, action] of actions.entries()) {
      const target = targets[index];
      if (target === undefined) continue;
      const before = await this.read(call, target);
      undo.push({ ...target, before });
      const answer = await this.apply(call, action, target, before);
      const isCondition = /"__type":"[^"]*ConditionalCheckFailedException"/.test(answer.body);
      if (answer.status !== 200 && !isCondition) refusal ??= answer;
      reasons.push(
        answer.status === 200
          ? { Code: 'None' }
          : { Code: 'ConditionalCheckFailed', Message: 'The conditional request failed' },
      );
    }
    const isFailed = reasons.some(({ Code }) => Code !== 'None');
    const isChecked = (index: number): boolean => actions[index]?.['ConditionCheck'] !== undefined;
    for (const [index, step] of undo.entries()) if (isFailed || isChecked(index)) await this.restore(call, step);
    if (refusal !== undefined) return refusal;
    if (!isFailed) return { status: 200, body: '{}' };
    const codes = reasons.map(({ Code }) => Code).join(', ');
    const message = `Transaction cancelled, please refer cancellation reasons for specific reasons [${codes}]`;
    return jsonFailure(400, `${NAMESPACE}TransactionCanceledException`, message, { CancellationReasons: reasons });
  }

  private apply(
    call: JsonCall,
    action: Record<string, Operand>,
    { table, key }: { readonly table: string; readonly key: AttributeMap },
    before: AttributeMap | undefined,
  ): Promise<JsonAnswer> {
    const [kind = '', operand = { TableName: table }] = Object.entries(action)[0] ?? [];
    // A check has no call of its own: a put that changes nothing stands for it.
    if (kind === 'ConditionCheck') {
      const { Key: _key, ...rest } = operand;
      return this.ask(call, 'PutItem', { ...rest, Item: before ?? key });
    }
    return this.ask(call, `${kind}Item`, { ...operand });
  }

  private async target(call: JsonCall, action: Record<string, Operand>): Promise<{ table: string; key: AttributeMap }> {
    const [operand] = Object.values(action);
    const table = operand?.TableName ?? '';
    const names = await this.namesOf(call, table);
    const source = operand?.Key ?? operand?.Item ?? {};
    return { table, key: Object.fromEntries(names.map((name) => [name, source[name]])) };
  }

  private async namesOf(call: JsonCall, table: string): Promise<readonly string[]> {
    const known = this.keyNames.get(table);
    if (known !== undefined) return known;
    const answer = await this.ask(call, 'DescribeTable', { TableName: table });
    const { Table } = JSON.parse(answer.body) as { Table?: { KeySchema: readonly { AttributeName: string }[] } };
    const names = (Table?.KeySchema ?? []).map(({ AttributeName }) => AttributeName);
    this.keyNames.set(table, names);
    return names;
  }

  private async read(
    call: JsonCall,
    { table, key }: { readonly table: string; readonly key: AttributeMap },
  ): Promise<AttributeMap | undefined> {
    const answer = await this.ask(call, 'GetItem', { TableName: table, Key: key, ConsistentRead: true });
    return (JSON.parse(answer.body) as { Item?: AttributeMap }).Item;
  }

  private async restore(call: JsonCall, { table, key, before }: Undo): Promise<void> {
    if (before === undefined) await this.ask(call, 'DeleteItem', { TableName: table, Key: key });
    else await this.ask(call, 'PutItem', { TableName: table, Item: before });
  }

  private ask(call: JsonCall, operation: string, input: Record<string, unknown>): Promise<JsonAnswer> {
    return this.send({ ...call, operation, input });
  }
}
