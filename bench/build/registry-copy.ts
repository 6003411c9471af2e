/** skopeo, for what is not measured: base images into a registry, and the proof that a built one can be pulled. */
import { rm } from 'node:fs/promises';
import { timed } from '../process.js';
import type { Session } from '../session.js';

interface Reaching {
  readonly credentials?: string;
  /** Put before the command, as to enter a network namespace. */
  readonly prefix?: readonly string[];
}

export async function copyIn(
  layout: string,
  image: string,
  { credentials, prefix = [] }: Reaching = {},
): Promise<void> {
  const login = credentials === undefined ? [] : ['--dest-creds', credentials];
  await timed([
    ...prefix,
    'skopeo',
    'copy',
    '--quiet',
    '--dest-tls-verify=false',
    ...login,
    `oci:${layout}`,
    `docker://${image}`,
  ]);
}

export async function pullOut(
  session: Session,
  image: string,
  { credentials, prefix = [] }: Reaching = {},
): Promise<void> {
  const folder = await session.directory('pulled');
  const login = credentials === undefined ? [] : ['--src-creds', credentials];
  await timed([
    ...prefix,
    'skopeo',
    'copy',
    '--quiet',
    '--src-tls-verify=false',
    ...login,
    `docker://${image}`,
    `dir:${folder}`,
  ]);
  await rm(folder, { recursive: true, force: true });
}
