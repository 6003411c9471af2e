/** `wharf build --secret` and `--ssh`: what is read, and that it goes beside the request. */
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type CliFixture, createAppFixture, type Ran } from './cli-fixture.js';

let cli: CliFixture;

beforeAll(async () => {
  cli = await createAppFixture();
  await writeFile(join(cli.folder, '.npmrc'), 'from the file');
});
afterAll(() => cli.close());

async function building(args: readonly string[]): Promise<Ran> {
  const { builds } = cli.api;
  const before = builds.submitted.length;
  const running = cli.run(['build', 'app', ...args], { env: { TOKEN: 'from the environment' } });
  await cli.api.base.until('it was submitted', () => builds.submitted.length > before);
  const id = (await builds.list({ limit: 1 })).builds[0]?.id ?? '';
  builds.tell(id, { type: 'finished', status: 'succeeded', report: { kind: 'check', warnings: [] } });
  return running;
}

const secrets = (): Record<string, string> =>
  Object.fromEntries(
    [...(cli.api.builds.options.at(-1)?.secrets ?? [])].map(([id, value]) => [id, Buffer.from(value).toString()]),
  );

test('files, variables, and what an id alone stands for go beside the request', async () => {
  const options = ['id=npm,src=.npmrc', 'id=tok,env=TOKEN', 'id=TOKEN', 'id=.npmrc', 'type=file,id=f,source=.npmrc'];
  const ran = await building([
    ...options.flatMap((option) => ['--secret', option]),
    '--compression',
    'gzip:9',
    '--check',
  ]);
  expect(ran.code).toBe(0);
  expect(secrets()).toEqual({
    npm: 'from the file',
    tok: 'from the environment',
    TOKEN: 'from the environment',
    '.npmrc': 'from the file',
    f: 'from the file',
  });
  const request = cli.api.builds.submitted.at(-1);
  expect(request).toMatchObject({ dockerfile: 'Dockerfile', check: true, compression: { type: 'gzip', level: 9 } });
  expect(JSON.stringify(request)).not.toContain('from the');
});

test('keys go the same way', async () => {
  const key = join(cli.folder, 'key');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  await building(['--ssh', 'default=key', '--ssh', `git=${key},key`]);
  const ssh = cli.api.builds.options.at(-1)?.ssh ?? new Map();
  expect([...ssh].map(([id, keys]) => [id, keys.length])).toEqual([
    ['default', 1],
    ['git', 2],
  ]);
});

describe('refused before anything is sent', () => {
  test.each([
    ['--secret', 'src=.npmrc', /has no id/],
    ['--secret', 'id=a,place=b', /has "place=b"/],
    ['--secret', 'id=a,type=vault', /type "vault"/],
    ['--secret', 'id=a,env=NOT_SET', /NOT_SET of secret a is not set/],
    ['--secret', 'id=nowhere', /nowhere .*ENOENT/],
    ['--ssh', 'default', /names no key file/],
    ['--ssh', 'default=/nowhere', /ENOENT/],
    ['--ssh', 'default=socket', /socket of an agent/],
  ])('%s %s', async (option, value, message) => {
    const server = createServer().listen(join(cli.folder, 'socket'));
    const before = cli.api.builds.submitted.length;
    const { code, stderr } = await cli.run(['build', 'app', option, value]);
    await new Promise((resolve) => server.close(resolve));
    expect(code).not.toBe(0);
    expect(stderr).toMatch(message);
    expect(cli.api.builds.submitted).toHaveLength(before);
  });

  test('one id given twice', async () => {
    const twice = ['--secret', 'id=a,src=.npmrc', '--secret', 'id=a,env=TOKEN'];
    expect((await cli.run(['build', 'app', ...twice])).stderr).toMatch(/names a twice/);
  });
});
