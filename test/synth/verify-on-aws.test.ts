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

describe('verify-on-aws with an account', () => {
  const account = { WHARF_VERIFY_ACCOUNT: '1' };
  const ANSWER = 'HTTP/1.1 401\\nwww-authenticate: Bearer\\ncontent-length: 1\\ncontent-range: b\\nlocation: /v2/u\\n';

  /** @param npx what the commands of the project do besides being written down */
  function run(npx: string): { status: number | null; stdout: string; npx: readonly string[]; aws: RecordedCall[] } {
    const calls = awsCommands(tools, 'case "$1" in sts) echo 1;; *) echo answer;; esac');
    program('npx', `echo "$*" >> ${tools}/npx.log\n${npx}`);
    program('curl', `printf '${ANSWER}'`);
    program('sleep', ':');
    // Where the worker image can be made.
    program('uname', 'echo Linux aarch64');
    program('runc', ':');
    program('npm', `echo "npm $*" >> ${tools}/npx.log`);
    writeFileSync(join(tools, 'npx.log'), '');
    const { status, stdout } = verify(account);
    const log = spawnSync('cat', [join(tools, 'npx.log')], { encoding: 'utf8' }).stdout;
    return { status, stdout, npx: log.trim().split('\n'), aws: calls() };
  }
  const isRemoval = (line: string): boolean => / cdk destroy |\/wharf\.ts (cluster )?rm /.test(line);
  const REMOVALS = [
    '--no-install tsx bin/wharf.ts rm greeting --cluster wharf',
    '--no-install tsx bin/wharf.ts cluster rm wharf-verify',
    expect.stringMatching(/cdk destroy --force .* Handler$/),
    expect.stringMatching(/cdk destroy --force .* WharfRegistry WharfPlatform WharfCapacity$/),
  ];

  test('goes on to its end, removes all that it made, and asks the AWS CLI what that takes', () => {
    const { status, stdout, npx, aws } = run('case "$*" in *"cluster rm"*) exit 4;; esac');
    expect(stdout).toContain('verify-on-aws: done');
    expect(status).toBe(0);
    expect(stdout).not.toMatch(/NOT (CLEAN|RIGHT)/);
    expect(npx.filter(isRemoval)).toEqual(REMOVALS);
    expect(npx).toContain('npm run worker-image -- answer answer');
    expect(aws.length).toBeGreaterThan(12);
    expect(refusedByAws(aws)).toEqual([]);
  });

  test('removes also what a deployment left that failed', () => {
    const { status, npx } = run('case "$*" in *"cdk deploy --all"*) exit 1;; *"cluster rm"*) exit 4;; esac');
    expect(status).toBe(1);
    expect(npx.filter(isRemoval)).toEqual(REMOVALS.slice(2));
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
