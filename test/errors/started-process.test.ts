/** What becomes of a program that cannot be started since no file can be opened any more. */
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';

/** Opens files until there are none left, then starts a program; says what it heard, and lives on for a moment. */
const SCRIPT = `
  import { spawn } from 'node:child_process';
  import { closeSync, openSync } from 'node:fs';
  import { setImmediate } from 'node:timers/promises';
  import { startedProcess, toAppError } from '${resolve('lib/errors/index.ts')}';
  const held = [];
  const heard = [];
  try { for (;;) held.push(openSync('/dev/null')); } catch (error) { heard.push(toAppError(error)); }
  try { startedProcess(spawn('true')).stdin.end(); } catch (error) { heard.push(error); }
  await setImmediate();
  held.forEach((file) => closeSync(file));
  console.log(JSON.stringify(heard.map(({ code, kind, message }) => ({ code, kind, message }))));
`;

test('a program for which no file is left to open is refused by name, and nobody else falls with it', async () => {
  const program = ['--import', 'tsx', '--input-type=module', '--eval', SCRIPT];
  const limited = ['-c', 'ulimit -n 64; exec "$0" "$@"', process.execPath, ...program];
  const { stdout } = await promisify(execFile)('sh', limited, { env: { ...process.env, NODE_OPTIONS: '' } });
  expect(JSON.parse(stdout)).toEqual([
    { code: 'HOST_FILES_EXHAUSTED', kind: 'unavailable', message: expect.stringContaining('EMFILE') as unknown },
    {
      code: 'HOST_FILES_EXHAUSTED',
      kind: 'unavailable',
      message: 'true could not be started: too many files are open',
    },
  ]);
});
