/**
 * A DynamoDB for tests: dynalite behind a front that adds what it lacks, transactions with their cancellation reasons
 * and tokens, and the time-to-live calls. One call at a time, so that a transaction is seen as a whole or not at all.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import dynalite from 'dynalite';
import {
  jsonFailure,
  startJsonApi,
  type JsonAnswer,
  type JsonApi,
  type JsonCall,
  type JsonFault,
} from '../json-api.js';
import { Transactions } from './transactions.js';

export interface DynamoDbFakeOptions {
  /** Asked at every call with the operation's name. */
  readonly fault?: (operation: string) => JsonFault;
}

export async function startDynamoDbFake(options: DynamoDbFakeOptions = {}): Promise<JsonApi> {
  const inner = dynalite({ createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 });
  inner.listen(0, '127.0.0.1');
  await once(inner, 'listening');
  const address = `http://127.0.0.1:${(inner.address() as AddressInfo).port}`;
  const transactions = new Transactions((call) => forward(address, call));
  const ttl = new Map<string, string>();
  let turn: Promise<unknown> = Promise.resolve();
  const answer = (call: JsonCall): Promise<JsonAnswer> => {
    const mine = turn.then(() => dispatch(call));
    turn = mine.catch(() => {});
    return mine;
  };
  const dispatch = async (call: JsonCall): Promise<JsonAnswer> => {
    const table = String(call.input['TableName']);
    switch (call.operation) {
      case 'TransactWriteItems':
        return transactions.write(call);
      case 'UpdateTimeToLive': {
        const specification = call.input['TimeToLiveSpecification'] as { AttributeName: string };
        ttl.set(table, specification.AttributeName);
        return { status: 200, body: JSON.stringify({ TimeToLiveSpecification: specification }) };
      }
      case 'DescribeTimeToLive': {
        const AttributeName = ttl.get(table);
        const state =
          AttributeName === undefined
            ? { TimeToLiveStatus: 'DISABLED' }
            : { TimeToLiveStatus: 'ENABLED', AttributeName };
        return { status: 200, body: JSON.stringify({ TimeToLiveDescription: state }) };
      }
      case '':
        return jsonFailure(400, 'com.amazon.coral.service#UnknownOperationException');
      default:
        return forward(address, call);
    }
  };
  const front = await startJsonApi(answer, options.fault);
  return {
    endpoint: front.endpoint,
    async close() {
      await front.close();
      inner.closeAllConnections();
      await new Promise<void>((resolve) => void inner.close(() => resolve()));
    },
  };
}

async function forward(address: string, { operation, input, headers }: JsonCall): Promise<JsonAnswer> {
  const response = await fetch(address, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': `DynamoDB_20120810.${operation}`,
      authorization: headers.authorization ?? '',
      'x-amz-date': String(headers['x-amz-date'] ?? ''),
    },
    body: JSON.stringify(input),
  });
  return { status: response.status, body: await response.text() };
}
