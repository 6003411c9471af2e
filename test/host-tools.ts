/**
 * Tests that need a program of the host say so by name. For a person the test is skipped when the program is missing;
 * with CI=true it fails, so that a missing set-up step cannot hide.
 */
import { spawnSync } from 'node:child_process';
import { describe, test } from '@jest/globals';

type Suite = (name: string, body: () => void) => void;

/** @example requireTools('runc', 'conmon').describe('a container', () => { … }) */
export function requireTools(...tools: readonly string[]): {
  readonly describe: Suite;
  readonly missing: readonly string[];
} {
  const missing = tools.filter((tool) => !isInstalled(tool));
  if (tools.includes('root') && process.getuid?.() !== 0) missing.push('root');
  if (missing.length === 0) return { describe, missing };
  const why = `needs ${missing.join(', ')}: run scripts/setup.sh --tests`;
  const suite: Suite = (name, body) => {
    if (process.env['CI'] === 'true') {
      describe(name, () => test(why, () => Promise.reject(new Error(why))));
    } else {
      describe.skip(`${name} (${why})`, body);
    }
  };
  return { describe: suite, missing };
}

function isInstalled(tool: string): boolean {
  if (tool === 'root') return true;
  return (
    spawnSync('sh', ['-c', `command -v ${tool} || test -x /usr/sbin/${tool} || test -x /usr/lib/cni/${tool}`])
      .status === 0
  );
}
