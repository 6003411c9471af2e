/**
 * What was published about the OCI runtimes, and which releases fixed it: CHANGELOG.md and the advisories of
 * opencontainers/runc up to 1.5.0 of June 2026; NEWS and the advisories of containers/crun up to September 2026.
 */
import type { OciRuntime } from './oci-runtime.js';

export type Version = readonly [number, number, number];

export interface Advisory {
  readonly cve: string;
  readonly about: string;
  /** A container with nothing but an image of its own gets out: not started with such a runtime. */
  readonly fatal: boolean;
  /** The first release that has it; all before when absent. */
  readonly since?: Version;
  /** The first fixed release of each line that got one; older lines have none. */
  readonly fixed: readonly Version[];
}

const RUNC: readonly Advisory[] = [
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

/**
 * Its maintainers say that CVE-2024-21626 and those of 2025 do not work against crun (NEWS of 1.14.1, issue 1906).
 * CVE-2026-88264 and CVE-2026-88265 need a root whose /dev nothing is mounted over; every container has a fresh one.
 */
const CRUN: readonly Advisory[] = [
  { cve: 'CVE-2019-5736', about: 'the host’s crun can be overwritten', fatal: true, fixed: [[0, 3, 0]] },
  { cve: 'CVE-2019-16884', about: 'security labels can be left out', fatal: true, fixed: [[0, 10, 0]] },
  { cve: 'CVE-2019-18837', about: 'mounts can be led out of the root', fatal: true, fixed: [[0, 10, 5]] },
  { cve: 'CVE-2022-27650', about: 'commands inside inherit capabilities', fatal: false, fixed: [[1, 4, 4]] },
  // Only where its handler for virtual machines is asked for, by an annotation that no container here has.
  { cve: 'CVE-2025-24965', about: 'its krun handler writes out of the root', fatal: false, fixed: [[1, 20, 0]] },
  {
    // Not by way of the process document that every command inside is given with here.
    cve: 'CVE-2026-30892',
    about: '`exec --user 1` runs as root',
    fatal: false,
    since: [1, 19, 0],
    fixed: [[1, 27, 0]],
  },
  {
    cve: 'CVE-2026-47766',
    about: 'an image whose /dev is a link writes to the host',
    fatal: false,
    fixed: [[1, 28, 0]],
  },
];

export const ADVISORIES: Readonly<Record<OciRuntime, readonly Advisory[]>> = { runc: RUNC, crun: CRUN };
