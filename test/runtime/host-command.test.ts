import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { mustRun, runCommand } from '../../lib/runtime/index.js';

describe('a program of the host', () => {
  test('is given its words as they are, and nothing of our environment', async () => {
    const words = ["it's", '"a"', '$HOME', '`id`', '\\', '', 'two\nlines', '; exit 7'];
    await expect(runCommand('printf', ['[%s]', ...words])).resolves.toEqual({
      exitCode: 0,
      stdout: words.map((word) => `[${word}]`).join(''),
      stderr: '',
      timedOut: false,
    });
    const { stdout } = await runCommand('env', [], { env: { OWN: "a'b" }, cwd: '/' });
    expect(stdout.split('\n')).toEqual(expect.arrayContaining(["OWN=a'b", 'LC_ALL=C']));
    expect(stdout).not.toContain('NODE_');
  });

  test('reads what it is given, and nothing when it is given nothing', async () => {
    await expect(mustRun('cat', [], { input: "one $two\n'three'\n" })).resolves.toMatchObject({
      stdout: "one $two\n'three'\n",
    });
    await expect(mustRun('cat', [])).resolves.toMatchObject({ stdout: '' });
  });

  test('ends with its code and what it wrote on either side; by a signal with 128 and its number', async () => {
    await expect(runCommand('sh', ['-c', 'echo out; echo err >&2; exit 3'])).resolves.toMatchObject({
      exitCode: 3,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    await expect(runCommand('sh', ['-c', 'kill -TERM $$'])).resolves.toMatchObject({ exitCode: 143 });
  });

  test('that goes on too long, or is no longer wanted, is killed with all it started; the next one is not', async () => {
    const late = await runCommand('sh', ['-c', 'echo begun; sleep 1000 | cat'], { timeoutMs: 100 });
    expect(late).toMatchObject({ exitCode: 137, stdout: 'begun\n', timedOut: true });
    const unwanted = runCommand('sleep', ['1000'], { signal: AbortSignal.timeout(50) });
    await expect(unwanted).resolves.toMatchObject({ exitCode: 137, timedOut: false });
    await expect(runCommand('sleep', ['1000'], { signal: AbortSignal.abort() })).resolves.toMatchObject({
      exitCode: 137,
    });
    await expect(mustRun('echo', ['on'])).resolves.toMatchObject({ stdout: 'on\n' });
  });

  test('that is not there is named', async () => {
    await expect(runCommand('wharf-no-such-program', [])).rejects.toMatchObject({
      code: 'HOST_TOOL_MISSING',
      message: expect.stringContaining('wharf-no-such-program'),
    });
    // One that fails for want of another is none of ours to explain.
    await expect(runCommand('sh', ['-c', 'wharf-no-such-program'])).resolves.toMatchObject({ exitCode: 127 });
  });

  test('writes more than is kept, and its end is seen all the same', async () => {
    const { stdout, exitCode } = await runCommand('head', ['-c', '20000000', '/dev/zero']);
    expect([stdout.length, exitCode]).toEqual([4 * 1024 * 1024, 0]);
  });

  test('many go on side by side', async () => {
    const all = Array.from({ length: 30 }, (_, i) => mustRun('sh', ['-c', `sleep 0.1; echo ${String(i)}`]));
    expect((await Promise.all(all)).map(({ stdout }) => Number(stdout))).toEqual(all.map((_, i) => i));
  });

  test('leaves what it says of errors in a file, after what is there', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'wharf-command-'));
    try {
      const errorsTo = join(folder, "it's.log");
      for (const word of ['one', 'two']) {
        const said = await runCommand('sh', ['-c', `echo out; echo ${word} >&2`], { errorsTo });
        expect(said).toMatchObject({ stdout: '', stderr: '' });
      }
      await expect(readFile(errorsTo, 'utf8')).resolves.toBe('one\ntwo\n');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
