/**
 * Whether an OCI runtime of this host is safe to start containers with. Upstream versions are compared with the releases
 * that fixed what was published. A distribution carries fixes without a new upstream version: its package's changelog
 * tells which.
 */
import { AppError } from '../../errors/index.js';
import { runCommand } from '../host/host-command.js';
import { ADVISORIES, type Advisory, type Version } from './oci-advisories.js';
import type { OciRuntime } from './oci-runtime.js';

export type RuntimeVerdict =
  | { readonly status: 'good'; readonly version: string }
  /** Usable, and newer ones exist that fix something: say so. */
  | { readonly status: 'dated'; readonly version: string; readonly warning: string }
  | { readonly status: 'refused'; readonly version: string; readonly reason: string };

export interface RuntimePackage {
  /** As the distribution counts. */
  readonly version: string;
  /** The CVEs that its changelog names; absent where there is none, as in slim images. */
  readonly fixes?: ReadonlySet<string>;
}

/** Where all that is known is fixed. */
const SAFE: Readonly<Record<OciRuntime, { readonly releases: string; readonly debian: string }>> = {
  runc: { releases: '1.3.6, 1.4.3, 1.5.0 or newer', debian: 'Debian 12: 1.1.5+ds1-1+deb12u1' },
  crun: { releases: '1.28 or newer', debian: 'Debian 12: 1.8.1-1+deb12u1' },
};

/** @param versionText what `runc --version` or `crun --version` prints */
export function judgeRuntime(runtime: OciRuntime, versionText: string, from?: RuntimePackage): RuntimeVerdict {
  // crun leaves out a last number that is nought.
  const match = new RegExp(`^${runtime} version (\\d+)\\.(\\d+)(?:\\.(\\d+))?(-rc)?`).exec(versionText);
  if (match === null) {
    const shown = JSON.stringify(versionText.slice(0, 80));
    return { status: 'refused', version: 'unknown', reason: `cannot read a version of ${runtime} in ${shown}` };
  }
  // A candidate comes before its release.
  const patch = Number(match[3] ?? 0) - (match[4] === undefined ? 0 : 1);
  const version = [Number(match[1]), Number(match[2]), patch] as const;
  const text = from?.version ?? match[0].replace(`${runtime} version `, '');
  const open = ADVISORIES[runtime].filter(
    (advisory) => isOpen(version, advisory) && from?.fixes?.has(advisory.cve) !== true,
  );
  const fatal = open.filter((advisory) => advisory.fatal);
  // Without a changelog the fixes of a security release cannot be seen; the fatal ones were made in all of them.
  const isSecurityRelease = from !== undefined && /(\+deb\d+u\d+|ubuntu\d)/.test(from.version);
  if (fatal.length > 0 && !(isSecurityRelease && from.fixes === undefined)) {
    return { status: 'refused', version: text, reason: `${runtime} ${text} lets a container out (${listed(fatal)})` };
  }
  if (open.length === 0) return { status: 'good', version: text };
  const unseen = isSecurityRelease && from.fixes === undefined ? ', as far as can be seen without its changelog' : '';
  return {
    status: 'dated',
    version: text,
    warning: `${runtime} ${text} lacks the fixes of ${listed(open)}${unseen}: use ${SAFE[runtime].releases}`,
  };
}

function listed(advisories: readonly Advisory[]): string {
  const abouts = [...new Set(advisories.map(({ about }) => about))];
  const groups = abouts.map((about) => {
    const cves = advisories.filter((advisory) => advisory.about === about).map(({ cve }) => cve);
    return `${cves.join(', ')}: ${about}`;
  });
  return groups.join('; ');
}

/** Fixed by the line's own fix where it has one; lines after the last fix have it from their start. */
function isOpen(version: Version, { since, fixed }: Advisory): boolean {
  if (since !== undefined && isBelow(version, since)) return false;
  const own = fixed.find(([major, minor]) => major === version[0] && minor === version[1]);
  const bound = own ?? fixed[fixed.length - 1];
  return bound !== undefined && isBelow(version, bound);
}

function isBelow(a: Version, b: Version): boolean {
  return a[0] !== b[0] ? a[0] < b[0] : a[1] !== b[1] ? a[1] < b[1] : a[2] < b[2];
}

/**
 * Asks the runtime of this host.
 * @throws AppError RUNC_TOO_OLD, CRUN_TOO_OLD, HOST_TOOL_MISSING
 */
export async function checkRuntime(runtime: OciRuntime): Promise<RuntimeVerdict> {
  const { stdout } = await runCommand(runtime, ['--version']);
  const verdict = judgeRuntime(runtime, stdout, await packageOf(runtime));
  if (verdict.status !== 'refused') return verdict;
  const { releases, debian } = SAFE[runtime];
  throw new AppError(runtime === 'runc' ? 'RUNC_TOO_OLD' : 'CRUN_TOO_OLD', verdict.reason, {
    kind: 'unavailable',
    retryable: false,
    hint: `${runtime} ${releases}, or a distribution package with the fix (${debian})`,
  });
}

async function packageOf(program: OciRuntime): Promise<RuntimePackage | undefined> {
  const owner = await runCommand('dpkg-query', ['-W', '-f', '${Version}', program]).catch(() => undefined);
  // One put in /usr/local is not the package's.
  const path = await runCommand('sh', ['-c', `command -v -- "$0"`, program]);
  const packaged = owner?.exitCode === 0 && /^\/(usr\/)?s?bin\//.test(path.stdout.trim());
  if (!packaged || owner.stdout === '') return undefined;
  const changelog = await runCommand('gzip', ['-dc', `/usr/share/doc/${program}/changelog.Debian.gz`]);
  const version = owner.stdout;
  return changelog.exitCode === 0 ? { version, fixes: new Set(changelog.stdout.match(/CVE-\d{4}-\d+/g)) } : { version };
}
