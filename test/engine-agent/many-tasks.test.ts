/** Many tasks wait for the same end of the agent; that is no leak, and Node is not to say it were one. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { requireTools } from '../host-tools.js';

requireTools('root', 'runc', 'conmon', 'ip', 'iptables', 'bridge', 'busybox').describe('a dozen tasks', () => {
  test('run and end without a warning about listeners', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'wharf-many-'));
    try {
      const script = join(process.cwd(), 'test/engine-agent/many-tasks.ts');
      // The tests themselves are run without warnings.
      const env = { ...process.env, NODE_OPTIONS: '' };
      const args = ['--import', 'tsx', script, directory];
      const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { env });
      expect(stderr).not.toContain('MaxListenersExceededWarning');
      expect(stdout).toContain('ended');
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
