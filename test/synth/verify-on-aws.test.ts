/** The script that costs money does nothing unless it is told the account, and the credentials are that account's. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

let tools: string;
beforeAll(() => {
  tools = mkdtempSync(join(tmpdir(), 'wharf-verify-'));
});
afterAll(() => rmSync(tools, { recursive: true }));

/** @param aws body of the only program beside the system's */
function verify(aws: string, environment: Record<string, string>): { status: number | null; stderr: string } {
  writeFileSync(join(tools, 'aws'), `#!/bin/sh\n${aws}\n`, { mode: 0o755 });
  const env = { PATH: `${tools}:/usr/bin:/bin`, ...environment };
  const { status, stderr } = spawnSync('sh', ['scripts/verify-on-aws.sh'], { encoding: 'utf8', env });
  return { status, stderr };
}

test.each([
  ['without an account named', 'exit 1', {}, /set WHARF_VERIFY_ACCOUNT/],
  ['without credentials', 'exit 255', { WHARF_VERIFY_ACCOUNT: '1' }, /no credentials that work/],
  ['for another account', 'echo 2', { WHARF_VERIFY_ACCOUNT: '1' }, /of 2, not of 1/],
])('verify-on-aws refuses %s', (_, aws, environment, message) => {
  const { status, stderr } = verify(aws, environment);
  expect(status).toBe(2);
  expect(stderr).toMatch(message);
});
