/** Tokens of the stack: valid for whoever shows one, and asked for only when a token is shown that nobody knows. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { ApiTokens } from '../../lib/auth/index.js';
import { AppError } from '../../lib/errors/index.js';
import { StackTokens } from '../../lib/host/aws/stack-tokens.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';

const SECRETS: Readonly<Record<string, string>> = { 'arn:admin': 'a'.repeat(43), 'arn:deploy': 'd'.repeat(43) };
const config = { region: 'eu-central-1', adminTokenArn: 'arn:admin' };

let store: TestStore;
let tokens: ApiTokens;
beforeEach(async () => {
  store = await createTestStore();
  tokens = new ApiTokens(store);
});
afterEach(() => store.close());

function opened(settings: object = {}) {
  const reads: string[] = [];
  const answers: ((arn: string) => string)[] = [];
  const read = (arn: string): Promise<string> => {
    reads.push(arn);
    return Promise.resolve((answers.shift() ?? ((name: string) => SECRETS[name] ?? ''))(arn));
  };
  return { reads, answers, stack: new StackTokens(tokens, { ...config, ...settings }, read) };
}

test('each is valid with its role, also for other processes from then on', async () => {
  const { stack, reads } = opened({ deployTokenArn: 'arn:deploy' });
  expect(await stack.verify('d'.repeat(43))).toMatchObject({ role: 'deploy' });
  expect(await stack.verify('a'.repeat(43))).toMatchObject({ role: 'admin', name: 'first administrator' });
  expect(reads).toEqual(['arn:admin', 'arn:deploy']);
  const other = opened();
  expect(await other.stack.verify('d'.repeat(43))).toMatchObject({ role: 'deploy' });
  expect(other.reads).toEqual([]);
});

test('whoever shows what nobody knows is nobody, and costs one look in a process', async () => {
  const { stack, reads } = opened();
  for (const shown of ['x'.repeat(43), 'd'.repeat(43), '']) expect(await stack.verify(shown)).toBeUndefined();
  expect(reads).toEqual(['arn:admin']);
});

test('a secret that cannot be read is an error, not a refusal, and is looked for again', async () => {
  const { stack, answers } = opened();
  answers.push(() => {
    throw new AppError('STORE_UNAVAILABLE', 'Secrets Manager is down', { kind: 'unavailable' });
  });
  await expect(stack.verify('a'.repeat(43))).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  expect(await stack.verify('a'.repeat(43))).toMatchObject({ role: 'admin' });
});
