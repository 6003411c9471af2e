/** Starts `serve.ts` and gives its address; it can be killed like any server can. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface RegistryProcess {
  readonly host: string;
  readonly url: string;
  readonly pid: number;
  /** The most memory it has been given so far. Bytes. */
  peakBytes(): Promise<number>;
  /** As an out-of-memory killer does it: SIGKILL, and the process is gone when this resolves. */
  kill(): Promise<void>;
}

export const PROCESS_TOKEN = 'a-token-for-registry-processes';

/** @param prefix a command that runs the rest of its arguments, as `nsenter` does */
export async function startRegistryProcess(folder: string, prefix: readonly string[] = []): Promise<RegistryProcess> {
  const script = join('test', 'protocol', 'registry', 'serve.ts');
  const [command = process.execPath, ...rest] = prefix;
  const node = ['--import', 'tsx', script, folder, PROCESS_TOKEN];
  const child = spawn(command, prefix.length === 0 ? node : [...rest, process.execPath, ...node], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const exited = once(child, 'exit');
  const host = await firstLine(child);
  return {
    host,
    url: `http://${host}`,
    pid: child.pid ?? 0,
    async peakBytes() {
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
      return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

async function firstLine(child: ChildProcess): Promise<string> {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('the process has no output');
  const complaints: string[] = [];
  stderr.on('data', (chunk: Buffer) => complaints.push(chunk.toString()));
  for await (const line of createInterface(stdout)) return (JSON.parse(line) as { host: string }).host;
  throw new Error(`the registry did not start: ${complaints.join('')}`);
}
