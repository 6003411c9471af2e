/**
 * A bundled function in a Node process of its own, as Lambda starts it: the folder of the asset, the environment of the
 * template, one event at a time. What it logs is kept for the test to look at.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';

export interface FunctionProcess {
  /** @param remainingMs what the function is told it has left; 30 s when absent */
  invoke<T>(event: unknown, remainingMs?: number): Promise<T>;
  /** The lines it wrote so far. */
  readonly lines: readonly string[];
  close(): Promise<void>;
}

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** Loads the bundle, then answers events from the parent. Nothing of the test's own code is in this process. */
const RUNTIME = `
  const { handler } = await import(process.env.TEST_BUNDLE);
  process.on('message', async ({ id, event, remainingMs }) => {
    const end = Date.now() + remainingMs;
    try {
      const result = await handler(event, { getRemainingTimeInMillis: () => end - Date.now(), awsRequestId: String(id) });
      process.send({ id, result });
    } catch (error) {
      process.send({ id, error: error.stack ?? String(error) });
    }
  });
  process.send({ id: 0 });
`;

/** @throws with what it wrote when the function does not start */
export async function startFunction(
  folder: string,
  environment: Readonly<Record<string, string>>,
): Promise<FunctionProcess> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', RUNTIME], {
    env: { PATH: '/usr/bin:/bin', ...environment, TEST_BUNDLE: join(folder, 'index.mjs') },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream
      ?.setEncoding('utf8')
      .on('data', (text: string) => lines.push(...text.split('\n').filter((line) => line !== '')));
  }
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  const settle = (answer: Answer): void => {
    const call = waiting.get(answer.id);
    waiting.delete(answer.id);
    if (answer.error === undefined) call?.resolve(answer.result);
    else call?.reject(new Error(answer.error));
  };
  child.on('message', (answer) => settle(answer as Answer));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  void ended.then(() => {
    for (const call of waiting.values()) call.reject(new Error(`the function ended:\n${lines.join('\n')}`));
  });
  const call = <T>(id: number, send: () => void): Promise<T> =>
    new Promise<unknown>((resolve, reject) => {
      waiting.set(id, { resolve, reject });
      send();
    }) as Promise<T>;
  let next = 1;
  await call(0, () => {});
  return {
    lines,
    invoke: (event, remainingMs = 30_000) => {
      const id = next++;
      return call(id, () => child.send({ id, event, remainingMs }));
    },
    close: () => stop(child, ended),
  };
}

async function stop(child: ChildProcess, ended: Promise<void>): Promise<void> {
  child.kill('SIGKILL');
  await ended;
}
