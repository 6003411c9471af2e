/** Names that tell whether the process that made them still lives, also when its id was given out again. */
import { readFile } from 'node:fs/promises';

/** `<pid>.<start time>` of this process. */
export async function processMark(): Promise<string> {
  return `${process.pid}.${(await startTime(process.pid)) ?? 0}`;
}

/** Whether the process that made a name beginning with its mark is running. */
export async function isAlive(name: string): Promise<boolean> {
  const [pid, started] = name.split('.');
  if (pid === undefined || !/^[0-9]+$/.test(pid)) return false;
  return String(await startTime(Number(pid))) === started;
}

/** Changes with every start of the machine. */
export async function bootId(): Promise<string> {
  const id = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => 'unknown');
  return id.trim();
}

/** In clock ticks since the machine started (proc(5), /proc/pid/stat, field 22). */
async function startTime(pid: number): Promise<number | undefined> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The name of the program may hold blanks and parentheses; fields are counted behind it.
  const field = line?.slice(line.lastIndexOf(')') + 2).split(' ')[19];
  return field === undefined ? undefined : Number(field);
}
