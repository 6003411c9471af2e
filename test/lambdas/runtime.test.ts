/** What the local Lambda keeps a function to, shown with handlers of a few lines: each limit that the other suites rely on. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { FunctionSettings } from '../fakes/lambda/environment.js';
import { type FunctionOptions, LambdaFunction } from '../fakes/lambda/function.js';
import { LAMBDA_PAYLOAD_BYTES } from '../fakes/lambda/runtime-api.js';
import { requireTools } from '../host-tools.js';

let folder: string;
const started: LambdaFunction[] = [];
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wharf-lambda-'));
});
afterEach(async () => {
  for (const each of started.splice(0)) await each.close();
});
afterAll(() => rmSync(folder, { recursive: true }));

/** @param code of a module that exports `handler` */
function fn(code: string, settings: Partial<FunctionSettings> = {}, options: FunctionOptions = {}): LambdaFunction {
  const asset = mkdtempSync(join(folder, 'asset-'));
  // Also for the user that functions run as.
  for (const each of [folder, asset]) chmodSync(each, 0o755);
  writeFileSync(join(asset, 'index.mjs'), code);
  const limits = { timeoutMs: 60_000, memoryMiB: 512, scratchMiB: 512 };
  const all = { name: 'tried', code: asset, handler: 'index.handler', ...limits, environment: {}, ...settings };
  const made = new LambdaFunction(all, options);
  started.push(made);
  return made;
}

const COUNTING =
  'let n = 0; export const handler = async ({ ms }) => { n += 1; if (ms) await new Promise(() => setInterval(() => {}, ms)); return n; };';

/** R, S, T …, as proc(5) has it; empty when there is no such process. */
function stateOf(pid: number): string {
  const path = `/proc/${pid}/stat`;
  return existsSync(path) ? (readFileSync(path, 'utf8').split(') ').at(-1)?.charAt(0) ?? '') : '';
}

async function until(holds: () => boolean): Promise<void> {
  for (let looks = 0; !holds(); looks += 1) {
    if (looks > 1000) throw new Error('it never came about');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('the start of a function', () => {
  test('fails with what its module threw, and with a handler that is not there', async () => {
    await expect(fn('throw new Error("no table");').invoke({})).rejects.toThrow(/does not start: .*no table/);
    await expect(fn('export const other = 1;').invoke({})).rejects.toThrow(/Runtime\.HandlerNotFound/);
  });

  test('is given up when it takes too long', async () => {
    const hanging = fn('await new Promise(() => setInterval(() => {}, 1000));', { initMs: 500 });
    await expect(hanging.invoke({})).rejects.toThrow(/does not start: not within 0\.5 s/);
  });
});

describe('events', () => {
  test('come one after the other to an environment, which keeps what it has; what is thrown ends nothing', async () => {
    const code =
      'let n = 0; export const handler = async ({ fails }) => { n += 1; if (fails) throw new TypeError("no"); return n; };';
    const counting = fn(code);
    expect(await counting.invoke({})).toBe(1);
    await expect(counting.invoke({ fails: true })).rejects.toThrow('TypeError: no');
    expect([await counting.invoke({}), counting.coldStarts]).toEqual([3, 1]);
  });

  test('that come at once have an environment each, up to the reserved concurrency', async () => {
    const two = fn(
      'export const handler = () => new Promise((resolve) => setTimeout(resolve, 300));',
      {},
      { concurrency: 2 },
    );
    const all = await Promise.allSettled([two.invoke({}), two.invoke({}), two.invoke({})]);
    expect(all.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect(all[2]).toMatchObject({ reason: { type: 'TooManyRequestsException' } });
    expect(two.coldStarts).toBe(2);
  });

  test('may have 6 MB, either way, and not a byte more', async () => {
    const padded = 'export const handler = async ({ bytes }) => "x".repeat(bytes - 2);';
    const sized = fn(padded);
    expect(await sized.invoke<string>({ bytes: LAMBDA_PAYLOAD_BYTES })).toHaveLength(LAMBDA_PAYLOAD_BYTES - 2);
    await expect(sized.invoke({ bytes: LAMBDA_PAYLOAD_BYTES + 1 })).rejects.toMatchObject({
      type: 'Function.ResponseSizeTooLarge',
    });
    const frame = Buffer.byteLength(JSON.stringify({ bytes: 10, x: '' }));
    expect(await sized.invoke({ bytes: 10, x: 'x'.repeat(LAMBDA_PAYLOAD_BYTES - frame) })).toBe('xxxxxxxx');
    await expect(sized.invoke({ bytes: 10, x: 'x'.repeat(LAMBDA_PAYLOAD_BYTES - frame + 1) })).rejects.toMatchObject({
      type: 'RequestTooLargeException',
    });
  });

  test('are given up when their time is over, which they were told, and the environment with them', async () => {
    const counting = fn(COUNTING);
    expect(await counting.invoke({})).toBe(1);
    await expect(counting.invoke({ ms: 10 }, { timeoutMs: 300 })).rejects.toMatchObject({
      type: 'Sandbox.Timedout',
      message: expect.stringMatching(/Task timed out after 0\.30 seconds/),
    });
    expect([await counting.invoke({}), counting.coldStarts]).toEqual([1, 2]);
    const telling = fn('export const handler = async (_, context) => context.getRemainingTimeInMillis();');
    const told = await telling.invoke<number>({}, { timeoutMs: 50_000 });
    expect(told).toBeGreaterThan(0);
    expect(told).toBeLessThanOrEqual(50_000);
  });

  test('fail when the process ends itself, and the next has a new one', async () => {
    const code =
      'let n = 0; export const handler = async ({ dies }) => { n += 1; if (dies) process.exit(1); return n; };';
    const dying = fn(code);
    expect(await dying.invoke({})).toBe(1);
    await expect(dying.invoke({ dies: true })).rejects.toMatchObject({ type: 'Runtime.ExitError' });
    expect(await dying.invoke({})).toBe(1);
  });

  test('find an environment as the last one left it: it stood still in between', async () => {
    const alive = fn('setInterval(() => {}, 1); export const handler = async () => process.pid;');
    const pid = await alive.invoke<number>({});
    await until(() => stateOf(pid) === 'T');
    expect(await alive.invoke<number>({})).toBe(pid);
    await until(() => stateOf(pid) === 'T');
    await alive.close();
    await until(() => stateOf(pid) === '');
  });

  test('that need more than the memory of the function are its end', async () => {
    const code =
      'let n = 0; export const handler = async ({ MiB }) => { n += 1; Buffer.alloc(MiB * 1024 ** 2, 1); return n; };';
    const greedy = fn(code, { memoryMiB: 200 });
    expect(await greedy.invoke({ MiB: 1 })).toBe(1);
    await expect(greedy.invoke({ MiB: 250 })).rejects.toMatchObject({ type: 'Runtime.OutOfMemory' });
    expect([await greedy.invoke({ MiB: 1 }), greedy.coldStarts]).toEqual([1, 2]);
  });
});

requireTools('root').describe('what a function sees of its machine', () => {
  const run = `import { execFileSync } from 'node:child_process';
    export const handler = async ({ script }) => {
      try { return execFileSync('sh', ['-c', script], { encoding: 'utf8', stdio: 'pipe' }).trim(); }
      catch (error) { return String(error.stderr).trim(); }
    };`;

  test('is a /tmp of its own, of the size it was given, kept from one event to the next', async () => {
    const [one, other] = [fn(run, { scratchMiB: 8 }), fn(run)];
    expect(await one.invoke({ script: 'head -c 4M /dev/zero > /tmp/four && stat -c %s /tmp/four' })).toBe('4194304');
    expect(await one.invoke({ script: 'head -c 6M /dev/zero > /tmp/six' })).toMatch(/No space left/);
    expect(await one.invoke({ script: 'ls /tmp' })).toBe('four\nsix');
    expect(await other.invoke({ script: 'ls /tmp' })).toBe('');
    expect(existsSync('/tmp/four')).toBe(false);
  });

  test('is its code, which it cannot change, and nothing else that it could write', async () => {
    const bare = fn(run);
    expect(await bare.invoke({ script: 'ls $LAMBDA_TASK_ROOT; touch $LAMBDA_TASK_ROOT/more' })).toMatch(/Read-only/);
    expect(await bare.invoke({ script: 'touch /var/tmp/more' })).toMatch(/Read-only/);
  });

  test('is seen by nobody special: a user without a capability, and no way to get one', async () => {
    const bare = fn(run);
    expect(await bare.invoke({ script: 'id -u; grep -E "CapEff|CapBnd|NoNewPrivs" /proc/self/status' })).toBe(
      ['993', 'CapEff:\t0000000000000000', 'CapBnd:\t0000000000000000', 'NoNewPrivs:\t1'].join('\n'),
    );
    expect(await bare.invoke({ script: 'mount -t tmpfs none /tmp' })).toMatch(/permission denied|must be superuser/i);
  });
});
