/**
 * Whether the runc of this host is safe to start containers with. Upstream versions are compared with the releases
 * that fixed the known escapes; a distribution's package carries such fixes without a new upstream version and is
 * recognised by its own version.
 */
import { AppError } from '../errors/index.js';
import { runCommand } from './host-command.js';

export type RuncVerdict =
  | { readonly status: 'good'; readonly version: string }
  /** Usable, and newer ones exist that fix something: say so. */
  | { readonly status: 'dated'; readonly version: string; readonly warning: string }
  | { readonly status: 'refused'; readonly version: string; readonly reason: string };

/** CVE-2024-21626 (leaked descriptors): fixed in 1.1.12. */
const LEAST = [1, 1, 12] as const;
/** CVE-2025-31133, -52565, -52881 (masked paths, console, procfs writes), by release line. */
const FIXED_2025: readonly (readonly [number, number, number])[] = [
  [1, 2, 8],
  [1, 3, 3],
  [1, 4, 0],
];

/**
 * @param versionText what `runc --version` prints
 * @param packageVersion of the distribution's package, when runc came from one
 */
export function judgeRunc(versionText: string, packageVersion?: string): RuncVerdict {
  const match = /runc version (\d+)\.(\d+)\.(\d+)/.exec(versionText);
  if (match === null) {
    return {
      status: 'refused',
      version: 'unknown',
      reason: `cannot read a version in ${JSON.stringify(versionText.slice(0, 80))}`,
    };
  }
  const version = [Number(match[1]), Number(match[2]), Number(match[3])] as const;
  const text = packageVersion ?? version.join('.');
  if (packageVersion !== undefined && /(\+deb\d+u\d+|ubuntu\d)/.test(packageVersion)) {
    return { status: 'good', version: text };
  }
  if (isBelow(version, LEAST)) {
    return { status: 'refused', version: text, reason: `runc ${text} lets a container out (CVE-2024-21626)` };
  }
  const line = FIXED_2025.find(([major, minor]) => major === version[0] && minor === version[1]);
  const newest = FIXED_2025[FIXED_2025.length - 1] ?? LEAST;
  if (line === undefined ? isBelow(version, newest) : isBelow(version, line)) {
    return {
      status: 'dated',
      version: text,
      warning: `runc ${text} lacks the fixes of CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881: use 1.2.8, 1.3.3 or newer`,
    };
  }
  return { status: 'good', version: text };
}

function isBelow(a: readonly [number, number, number], b: readonly [number, number, number]): boolean {
  return a[0] !== b[0] ? a[0] < b[0] : a[1] !== b[1] ? a[1] < b[1] : a[2] < b[2];
}

/**
 * Asks the runc of this host.
 * @throws AppError RUNC_TOO_OLD, HOST_TOOL_MISSING
 */
export async function checkRunc(program = 'runc'): Promise<RuncVerdict> {
  const { stdout } = await runCommand(program, ['--version']);
  const owner = await runCommand('dpkg-query', ['-W', '-f', '${Version}', 'runc']).catch(() => undefined);
  // A runc put in /usr/local is not the package's.
  const path = await runCommand('sh', ['-c', `command -v -- "$0"`, program]);
  const packaged = owner?.exitCode === 0 && /^\/(usr\/)?s?bin\//.test(path.stdout.trim());
  const verdict = judgeRunc(stdout, packaged && owner.stdout !== '' ? owner.stdout : undefined);
  if (verdict.status !== 'refused') return verdict;
  throw new AppError('RUNC_TOO_OLD', verdict.reason, {
    kind: 'unavailable',
    retryable: false,
    hint: 'runc 1.1.12 or newer, or a distribution package with the fix (Debian 12: 1.1.5+ds1-1+deb12u1)',
  });
}
