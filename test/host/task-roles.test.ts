import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { TaskRoles } from '../../lib/host/embedded/task-roles.js';
import { systemClock } from '../../lib/store/system/clock-system.js';

const ROLE = 'arn:aws:iam::000000000000:role/app';
const KEYS = { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'canary-5d1f' };

let directory: string;
let path: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'wharf-roles-'));
  path = join(directory, 'task-roles.json');
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const written = async (value: unknown, mode = 0o600): Promise<void> => {
  await writeFile(path, typeof value === 'string' ? value : JSON.stringify(value), { mode });
  await chmod(path, mode);
};

test('without a file no role has credentials; with one, those it names, from the next question on', async () => {
  const roles = await TaskRoles.open(path, systemClock);
  await expect(roles.has(ROLE)).resolves.toBe(false);
  await written({ [ROLE]: KEYS });
  await expect(roles.has(ROLE)).resolves.toBe(true);
  await expect(roles.find(ROLE)).resolves.toEqual(KEYS);
  await expect(roles.find('arn:aws:iam::000000000000:role/other')).resolves.toBeUndefined();
});

test('a star stands for every role that is not named', async () => {
  await written({ '*': { ...KEYS, sessionToken: 'token' }, [ROLE]: KEYS });
  const roles = await TaskRoles.open(path, systemClock);
  await expect(roles.find('arn:aws:iam::000000000000:role/other')).resolves.toEqual({ ...KEYS, sessionToken: 'token' });
  await expect(roles.find(ROLE)).resolves.toEqual(KEYS);
  await expect(roles.has('toString')).resolves.toBe(true);
});

test('a command prints credentials, and is asked again only when they are about to end', async () => {
  const log = join(directory, 'asked');
  const print = (expiration: string): string =>
    `echo x >> ${log}; echo '{"Version":1,"AccessKeyId":"AKIA1","SecretAccessKey":"s","SessionToken":"t","Expiration":"${expiration}"}'`;
  const far = new Date(systemClock.nowMs() + 3_600_000).toISOString();
  const near = new Date(systemClock.nowMs() + 60_000).toISOString();
  await written({
    [ROLE]: { process: ['sh', '-c', print(far)] },
    near: { process: ['sh', '-c', print(near)] },
  });
  const roles = await TaskRoles.open(path, systemClock);
  for (let i = 0; i < 3; i += 1) {
    await expect(roles.find(ROLE)).resolves.toEqual({
      accessKeyId: 'AKIA1',
      secretAccessKey: 's',
      sessionToken: 't',
      expiresMs: Date.parse(far),
    });
  }
  const asked = async (): Promise<number> => (await readFile(log, 'utf8')).split('\n').length - 1;
  await expect(asked()).resolves.toBe(1);
  await roles.find('near');
  await roles.find('near');
  await expect(asked()).resolves.toBe(3);
});

test('what cannot be used is refused, without a key in the message', async () => {
  const message = (): Promise<string> =>
    TaskRoles.open(path, systemClock).then(
      () => 'taken',
      (error: Error) => error.message,
    );
  await written({ [ROLE]: KEYS }, 0o644);
  await expect(message()).resolves.toContain('others than its owner may read it');
  await written('{');
  await expect(message()).resolves.toContain('it is not JSON');
  await written({ [ROLE]: { ...KEYS, expires: 'canary-5d1f' } });
  await expect(message()).resolves.toMatch(/role\/app" has neither keys nor a process$/);
  await expect(message()).resolves.not.toContain('canary');
  await written({ [ROLE]: { process: ['sh', '-c', 'echo canary-5d1f'] } });
  const roles = await TaskRoles.open(path, systemClock);
  await expect(roles.find(ROLE)).rejects.toThrow('sh, which gives a task role its credentials, printed no JSON');
});
