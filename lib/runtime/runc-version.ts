/**
 * Whether the runc of this host is safe to start containers with. Upstream versions are compared with the releases that
 * fixed what was published (CHANGELOG.md and the security advisories of opencontainers/runc, up to 1.5.0 of June 2026).
 * A distribution carries fixes without a new upstream version: its package's changelog tells which.
 */
import { AppError } from '../errors/index.js';
import { runCommand } from './host-command.js';

export type RuncVerdict =
  | { readonly status: 'good'; readonly version: string }
  /** Usable, and newer ones exist that fix something: say so. */
  | { readonly status: 'dated'; readonly version: string; readonly warning: string }
  | { readonly status: 'refused'; readonly version: string; readonly reason: string };

export interface RuncPackage {
  /** As the distribution counts. */
  readonly version: string;
  /** The CVEs that its changelog names; absent where there is none, as in slim images. */
  readonly fixes?: ReadonlySet<string>;
}

type Version = readonly [number, number, number];

interface Advisory {
  readonly cve: string;
  readonly about: string;
  /** A container with nothing but an image of its own gets out: not started with such a runc. */
  readonly fatal: boolean;
  /** The first fixed release of each line that got one; older lines have none. */
  readonly fixed: readonly Version[];
}

const ADVISORIES: readonly Advisory[] = [
  { cve: 'CVE-2019-5736', about: 'the host’s runc can be overwritten', fatal: true, fixed: [[1, 0, 0]] },
  { cve: 'CVE-2021-30465', about: 'mounts can be led out of the root', fatal: true, fixed: [[1, 0, 0]] },
  { cve: 'CVE-2024-21626', about: 'a leaked descriptor leads to the host', fatal: true, fixed: [[1, 1, 12]] },
  ...['CVE-2025-31133', 'CVE-2025-52565', 'CVE-2025-52881'].map((cve) => ({
    cve,
    about: 'races with masked paths, the console and procfs',
    fatal: false,
    fixed: [
      [1, 2, 8],
      [1, 3, 3],
      [1, 4, 0],
    ] as const,
  })),
  { cve: 'CVE-2024-45310', about: 'empty files can appear on the host', fatal: false, fixed: [[1, 1, 14]] },
  {
    // Such images are refused when the container is made, whatever runc does.
    cve: 'CVE-2026-41579',
    about: 'an image whose /dev is a link writes to the host',
    fatal: false,
    fixed: [
      [1, 3, 6],
      [1, 4, 3],
      [1, 5, 0],
    ],
  },
];

/** @param versionText what `runc --version` prints */
export function judgeRunc(versionText: string, from?: RuncPackage): RuncVerdict {
  const match = /runc version (\d+)\.(\d+)\.(\d+)(-rc)?/.exec(versionText);
  if (match === null) {
    const shown = JSON.stringify(versionText.slice(0, 80));
    return { status: 'refused', version: 'unknown', reason: `cannot read a version in ${shown}` };
  }
  // A candidate comes before its release.
  const version = [Number(match[1]), Number(match[2]), Number(match[3]) - (match[4] === undefined ? 0 : 1)] as const;
  const text = from?.version ?? match[0].replace('runc version ', '');
  const open = ADVISORIES.filter(({ cve, fixed }) => !isFixed(version, fixed) && from?.fixes?.has(cve) !== true);
  const fatal = open.filter((advisory) => advisory.fatal);
  // Without a changelog the fixes of a security release cannot be seen; the fatal ones were made in all of them.
  const isSecurityRelease = from !== undefined && /(\+deb\d+u\d+|ubuntu\d)/.test(from.version);
  if (fatal.length > 0 && !(isSecurityRelease && from.fixes === undefined)) {
    return { status: 'refused', version: text, reason: `runc ${text} lets a container out (${listed(fatal)})` };
  }
  if (open.length === 0) return { status: 'good', version: text };
  const unseen = isSecurityRelease && from.fixes === undefined ? ', as far as can be seen without its changelog' : '';
  return {
    status: 'dated',
    version: text,
    warning: `runc ${text} lacks the fixes of ${listed(open)}${unseen}: use 1.3.6, 1.4.3, 1.5.0 or newer`,
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

/** Of the line's own fix where it has one; lines after the last fix have it from their start. */
function isFixed(version: Version, fixed: readonly Version[]): boolean {
  const own = fixed.find(([major, minor]) => major === version[0] && minor === version[1]);
  const newest = fixed[fixed.length - 1];
  const bound = own ?? newest;
  return bound === undefined || !isBelow(version, bound);
}

function isBelow(a: Version, b: Version): boolean {
  return a[0] !== b[0] ? a[0] < b[0] : a[1] !== b[1] ? a[1] < b[1] : a[2] < b[2];
}

/**
 * Asks the runc of this host.
 * @throws AppError RUNC_TOO_OLD, HOST_TOOL_MISSING
 */
export async function checkRunc(program = 'runc'): Promise<RuncVerdict> {
  const { stdout } = await runCommand(program, ['--version']);
  const verdict = judgeRunc(stdout, await packageOf(program));
  if (verdict.status !== 'refused') return verdict;
  throw new AppError('RUNC_TOO_OLD', verdict.reason, {
    kind: 'unavailable',
    retryable: false,
    hint: 'runc 1.3.6, 1.4.3, 1.5.0 or newer, or a distribution package with the fix (Debian 12: 1.1.5+ds1-1+deb12u1)',
  });
}

async function packageOf(program: string): Promise<RuncPackage | undefined> {
  const owner = await runCommand('dpkg-query', ['-W', '-f', '${Version}', 'runc']).catch(() => undefined);
  // A runc put in /usr/local is not the package's.
  const path = await runCommand('sh', ['-c', `command -v -- "$0"`, program]);
  const packaged = owner?.exitCode === 0 && /^\/(usr\/)?s?bin\//.test(path.stdout.trim());
  if (!packaged || owner.stdout === '') return undefined;
  const changelog = await runCommand('gzip', ['-dc', '/usr/share/doc/runc/changelog.Debian.gz']);
  const version = owner.stdout;
  return changelog.exitCode === 0 ? { version, fixes: new Set(changelog.stdout.match(/CVE-\d{4}-\d+/g)) } : { version };
}
