/**
 * The script that costs money does nothing unless it is told the account, and the credentials are that account's. With
 * stand-ins for all that it calls it goes on to its end; whatever it asks the AWS CLI, that takes.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { awsCommands, documentedCommands, type RecordedCall, refusedByAws } from './aws-commands.js';

let tools: string;
beforeAll(() => {
  tools = mkdtempSync(join(tmpdir(), 'wharf-verify-'));
});
afterAll(() => rmSync(tools, { recursive: true }));

function program(name: string, body: string): void {
  writeFileSync(join(tools, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
}

/** With the programs of the folder before the system's. */
function verify(environment: Record<string, string>) {
  const env = { PATH: `${tools}:/usr/bin:/bin`, TMPDIR: tools, ...environment };
  return spawnSync('sh', ['scripts/verify-on-aws.sh'], { encoding: 'utf8', env });
}

test.each([
  ['without an account named', 'exit 1', {}, /set WHARF_VERIFY_ACCOUNT/],
  ['without credentials', 'exit 255', { WHARF_VERIFY_ACCOUNT: '1' }, /no credentials that work/],
  ['for another account', 'echo 2', { WHARF_VERIFY_ACCOUNT: '1' }, /of 2, not of 1/],
])('verify-on-aws refuses %s', (_, aws, environment, message) => {
  program('aws', aws);
  const { status, stderr } = verify(environment);
  expect(status).toBe(2);
  expect(stderr).toMatch(message);
});

/** What the account says: nothing is there until something was deployed. */
const ACCOUNT = `case "$*" in
  sts*) echo 1;;
  *"Stacks[?"*) ;;
  *describe-repositories*) echo wharf/theirs; [ ! -e DEPLOYED ] || echo wharf/greeting;;
  *) echo answer;;
esac`;

describe('verify-on-aws with an account', () => {
  const account = { WHARF_VERIFY_ACCOUNT: '1' };
  const ANSWER = 'HTTP/1.1 401\\nwww-authenticate: Bearer\\ncontent-length: 1\\ncontent-range: b\\nlocation: /v2/u\\n';

  interface Run {
    readonly status: number | null;
    readonly stdout: string;
    readonly stderr: string;
    readonly npx: readonly string[];
    readonly aws: RecordedCall[];
  }

  /** @param npx what the commands of the project do besides being written down */
  function run(npx: string, aws = ACCOUNT): Run {
    const deployed = join(tools, 'deployed');
    rmSync(deployed, { force: true });
    const calls = awsCommands(tools, aws.replaceAll('DEPLOYED', deployed));
    program('npx', `echo "$*" >> ${tools}/npx.log\ncase "$*" in *"cdk deploy"*) touch ${deployed};; esac\n${npx}`);
    program('curl', `printf '${ANSWER}'`);
    program('sleep', ':');
    // Where the worker image can be made.
    program('uname', 'echo Linux aarch64');
    program('runc', ':');
    program('npm', `echo "npm $*" >> ${tools}/npx.log`);
    writeFileSync(join(tools, 'npx.log'), '');
    const { status, stdout, stderr } = verify(account);
    const log = spawnSync('cat', [join(tools, 'npx.log')], { encoding: 'utf8' }).stdout;
    return { status, stdout, stderr, npx: log.trim().split('\n'), aws: calls() };
  }
  const isRemoval = (line: string): boolean => / cdk destroy |\/wharf\.ts (cluster )?rm /.test(line);
  const REMOVALS = [
    '--no-install tsx bin/wharf.ts rm greeting --cluster wharf',
    '--no-install tsx bin/wharf.ts cluster rm wharf-verify',
    expect.stringMatching(/cdk destroy --force .* Handler$/),
    expect.stringMatching(
      /cdk destroy --force WharfRegistry WharfPlatform WharfCapacity WharfStorage .*storageGoes=true$/,
    ),
  ];
  const NO_CLUSTER = 'case "$*" in *"cluster rm"*) exit 4;; esac';
  const deletedRepositories = (aws: readonly RecordedCall[]): readonly (readonly string[])[] =>
    aws.map(({ argv }) => argv).filter((argv) => argv.includes('delete-repository'));

  test('goes on to its end, removes all that it made, and asks the AWS CLI what that takes', () => {
    const { status, stdout, npx, aws } = run(NO_CLUSTER);
    expect(stdout).toContain('verify-on-aws: done');
    expect(status).toBe(0);
    expect(stdout).not.toMatch(/NOT (CLEAN|RIGHT)/);
    expect(npx.filter(isRemoval)).toEqual(REMOVALS);
    expect(deletedRepositories(aws)).toEqual([
      ['ecr', 'delete-repository', '--force', '--repository-name', 'wharf/greeting'],
    ]);
    expect(npx).toContain('npm run worker-image -- answer answer');
    expect(aws.length).toBeGreaterThan(12);
    expect(refusedByAws(aws)).toEqual([]);
  });

  test('shows no token of an administrator where there is no TLS', () => {
    const { npx } = run(NO_CLUSTER);
    expect(npx).toEqual(
      expect.arrayContaining([
        '--no-install tsx bin/wharf.ts token create verify --role deploy --expires 1h',
        '--no-install tsx bin/wharf.ts token revoke verify',
      ]),
    );
  });

  test('says what it will cost and where before it begins, and what it did cost at the end', () => {
    const costly = run(`${NO_CLUSTER}\ncase "$*" in *idleMonth*) echo "about US$";; esac`).stdout;
    expect(costly).toMatch(/deployment to account 1, region [\w-]+\nabout US\$.*however it ends/);
    expect(costly).toMatch(/== cost, by the table of prices.*\nabout US\$/);
  });

  test('removes also what a deployment left that failed', () => {
    const { status, npx } = run(`case "$*" in *"cdk deploy --all"*) exit 1;; esac\n${NO_CLUSTER}`);
    expect(status).toBe(1);
    expect(npx.filter(isRemoval)).toEqual(REMOVALS.slice(2));
  });

  test.each([
    ['INT', 130],
    ['TERM', 143],
    ['HUP', 129],
  ])('removes all of it after a %s, at which it lets itself not be cut short again', (signal, code) => {
    const cut = `case "$*" in *"wharf.ts doctor"*|*"cdk destroy"*) kill -${signal} $PPID;; esac`;
    const { status, npx } = run(`${cut}\n${NO_CLUSTER}`);
    expect(status).toBe(code);
    expect(npx.filter(isRemoval)).toEqual(REMOVALS);
  });

  test('tries a removal again, and says what it could not remove', () => {
    const { status, stdout, npx } = run(`case "$*" in *"cdk destroy"*Handler) exit 1;; esac\n${NO_CLUSTER}`);
    expect([status, stdout]).toEqual([3, expect.stringContaining('NOT CLEAN: example destroy --force')]);
    expect(npx.filter((line) => / cdk destroy .*Handler$/.test(line))).toHaveLength(3);
    expect(npx.filter(isRemoval).at(-1)).toEqual(REMOVALS[3]);
  });

  test('leaves a Wharf alone that is there already', () => {
    const { status, stderr, npx } = run('', ACCOUNT.replace('*"Stacks[?"*) ;;', '*"Stacks[?"*) echo WharfStorage;;'));
    expect([status, npx]).toEqual([2, ['']]);
    expect(stderr).toMatch(/there is already: WharfStorage\. Name another region/);
  });
});

test('the commands of the AWS CLI in the documents are taken by it', () => {
  const calls = documentedCommands(tools);
  const operations = calls.map(({ argv: [service, operation] }) => `${service} ${operation}`);
  expect(operations).toEqual(
    expect.arrayContaining(['sqs start-message-move-task', 'logs start-query', 'ecr delete-repository']),
  );
  expect(refusedByAws(calls)).toEqual([]);
});
