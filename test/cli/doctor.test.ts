/** `wharf doctor`. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type SandboxReport, SandboxReports } from '../../lib/build/index.js';
import { type CliFixture, createCliFixture } from './cli-fixture.js';

let cli: CliFixture;
beforeAll(async () => {
  cli = await createCliFixture();
});
afterAll(() => cli.close());

const NO = 'EPERM';
const REPORT: SandboxReport = {
  ...{ name: 'builder', atMs: Date.now() - 120_500, version: '0.1.0', node: 'v24.1.0', architecture: 'arm64' },
  ...{ kernel: '5.10.1', processors: 1, memoryMiB: 1769, scratchMiB: 4096, scratchFreeMiB: 4000, user: 993 },
  trials: {
    ...{ mount: NO, overlay: NO, userNamespace: 'ENOSPC', userMount: NO, userOverlay: NO, chroot: NO, ptrace: 'yes' },
  },
};

test('says that the platform answers, and that RUN is done where it runs when no function was tried', async () => {
  const { code, stdout } = await cli.run(['doctor']);
  expect([code, stdout]).toEqual([
    0,
    expect.stringMatching(/^wharf \S+ answers, and the token is good\nRUN steps and tasks run on its own machine/),
  ]);
  expect(await cli.run(['doctor'], { env: { WHARF_TOKEN: 'wrong' } })).toMatchObject({
    code: 3,
    stdout: '',
  });
});

test('shows what functions found out about their machines', async () => {
  const reports = new SandboxReports({ records: cli.api.base.store.records });
  await reports.put(REPORT);
  const { stdout } = await cli.run(['doctor']);
  expect(stdout).toContain('function builder of 0.1.0, tried 2m ago\n');
  expect(stdout).toContain('Node v24.1.0 on arm64, kernel 5.10.1, 1 processor\n');
  expect(stdout).toMatch(/\n {2}userNamespace ENOSPC\n/);
  expect(stdout).toMatch(/so RUN goes on in a worker\n$/);
  expect(JSON.parse((await cli.run(['doctor', '--json'])).stdout)).toMatchObject({ sandboxes: [REPORT] });
  const free = { ...REPORT.trials, userNamespace: 'yes', userOverlay: 'yes' };
  await reports.put({ ...REPORT, trials: free });
  expect((await cli.run(['doctor'])).stdout).toMatch(/would let RUN be done there\n$/);
});
