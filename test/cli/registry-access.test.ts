/** `wharf registry robot …` and `publish`: over the API, against the rights they change. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type CliFixture, createCliFixture, type Ran } from './cli-fixture.js';

let cli: CliFixture;
beforeAll(async () => {
  cli = await createCliFixture();
});
afterAll(() => cli.close());

const registry = (...args: string[]): Promise<Ran> => cli.run(['registry', ...args]);
const json = ({ stdout }: Ran) => JSON.parse(stdout) as Record<string, unknown>;
const rightsOf = async (secret: string) => (await cli.api.robots.verify(secret))?.grants;

describe('wharf registry robot', () => {
  test('makes a robot and prints its secret alone on stdout', async () => {
    const made = await registry('robot', 'create', 'ci', '--grant', 'team/*:pull,push', '--grant', 'base:pull');
    expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^wharf-robot_[0-9a-f]{48}\n$/) });
    expect(made.stderr).toContain('robot ci may pull,push team/*; pull base');
    expect(await rightsOf(made.stdout.trim())).toEqual([
      { repositories: 'team/*', actions: ['pull', 'push'] },
      { repositories: 'base', actions: ['pull'] },
    ]);
    const again = await registry('robot', 'create', 'ci', '--grant', '*:pull');
    expect(again).toMatchObject({ code: 5, stderr: expect.stringContaining('there is a robot ci already') });
  });

  test('lists, rotates, revokes, changes and removes', async () => {
    const made = json(await registry('robot', 'create', 'host', '--grant', '*:pull', '--expires', '90d', '--json'));
    const second = await registry('robot', 'rotate', 'host');
    expect(second.stderr).toContain(`wharf registry robot revoke host ${String(made['secretId'])}`);
    const listed = await registry('robot', 'ls');
    expect(listed.stdout).toMatch(/^host +pull \* +in (89|90)d +\w{26} \(0s\), \w{26} /m);
    expect(listed.stdout).not.toContain(String(made['secret']));
    await registry('robot', 'revoke', 'host', String(made['secretId']));
    expect(await rightsOf(String(made['secret']))).toBeUndefined();
    await registry('robot', 'set', 'host', '--grant', 'team/app:delete');
    expect(await rightsOf(second.stdout.trim())).toEqual([{ repositories: 'team/app', actions: ['delete'] }]);
    expect((await registry('robot', 'rm', 'host')).code).toBe(0);
    expect(await rightsOf(second.stdout.trim())).toBeUndefined();
    expect(await registry('robot', 'rm', 'host')).toMatchObject({ code: 4 });
  });

  test.each([
    [['--grant', 'team/*:pull,write'], /actions are pull, push, delete/],
    [['--grant', 'team'], /<repositories>:<actions> is wanted/],
    [[], /required option '--grant/],
    [['--grant', '*:pull', '--expires', '5y'], /30m, 12h or 90d is wanted/],
  ])('%j is a usage error that says what is wanted', async (args, message) => {
    expect(await registry('robot', 'create', 'wrong', ...args)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(message),
    });
  });
});

describe('wharf registry publish', () => {
  const isPublic = (name: string) => cli.api.registry.publicRepositories.covers(name);

  test('opens repositories to anyone and closes them again', async () => {
    expect(await registry('publish', 'open/*')).toMatchObject({ code: 0, stdout: 'anyone may pull open/*\n' });
    await registry('publish', 'open/*');
    expect([await isPublic('open/app'), await isPublic('closed/app')]).toEqual([true, false]);
    expect((await registry('public')).stdout).toBe('open/*\n');
    expect(json(await registry('public', '--json'))).toEqual({ repositories: ['open/*'] });
    expect((await registry('unpublish', 'open/*')).code).toBe(0);
    expect(await isPublic('open/app')).toBe(false);
    const absent = await registry('unpublish', 'open/*');
    expect(absent).toMatchObject({ code: 4, stderr: expect.stringContaining('open/* was not published') });
  });

  test('says where images may lack parts', async () => {
    const mayLack = (name: string) => cli.api.registry.sparseRepositories.covers(name);
    expect(await registry('sparse', 'add', 'mirror/*')).toMatchObject({
      code: 0,
      stdout: 'mirror/* takes manifests that name what is not there\n',
    });
    expect([await mayLack('mirror/app'), await mayLack('app')]).toEqual([true, false]);
    expect((await registry('sparse', 'ls')).stdout).toBe('mirror/*\n');
    expect((await registry('sparse', 'rm', 'mirror/*')).code).toBe(0);
    expect(await mayLack('mirror/app')).toBe(false);
    const absent = await registry('sparse', 'rm', 'mirror/*');
    expect(absent).toMatchObject({ code: 4, stderr: expect.stringContaining('was not allowed sparse manifests') });
  });

  test.each([
    ['publish', 'UPPER'],
    ['sparse', 'add', 'UPPER'],
    ['robot', 'create', 'wrong', '--grant', 'team*:pull'],
  ])('what is no repository is refused with what would be: %s %s', async (...args) => {
    const refused = await registry(...args);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('is not a repository, everything below a name (team/*), or * for everything');
  });
});
