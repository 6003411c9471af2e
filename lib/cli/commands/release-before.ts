/** The release that a new one goes on from: the newest, unless that failed; then the one that runs in its place. */
import { AppError } from '../../errors/index.js';
import type { Release, Service } from '../../platform/index.js';
import type { CommandDeps } from '../deps.js';

/** @returns undefined for a service that is new */
export async function releaseBefore(cluster: string, name: string, deps: CommandDeps): Promise<Release | undefined> {
  const service = await deps.client.services.get(cluster, name).catch((error: unknown) => {
    if (error instanceof AppError && error.code === 'SERVICE_NOT_FOUND') return undefined;
    throw error;
  });
  if (service === undefined) return undefined;
  const number = runningRelease(service);
  if (number !== service.release) {
    deps.output.say(`release ${service.release} of ${name} failed: the new one goes on from release ${number}\n`);
  }
  return findRelease(service, number, deps);
}

/** The number of the release whose tasks are to run: not that of one that was given up. */
export function runningRelease({ release, currentRelease, deployment }: Service): number {
  const isGivenUp = deployment?.status === 'failed' || deployment?.status === 'rolled-back';
  return isGivenUp ? (deployment.rolledBackTo ?? currentRelease ?? release) : release;
}

export async function findRelease(
  { cluster, name }: Service,
  number: number,
  { client }: CommandDeps,
): Promise<Release | undefined> {
  let cursor: string | undefined;
  do {
    const page = await client.services.releases(cluster, name, {
      limit: 100,
      ...(cursor === undefined ? {} : { cursor }),
    });
    const found = page.releases.find((release) => release.number === number);
    if (found !== undefined) return found;
    cursor = page.cursor;
  } while (cursor !== undefined);
  return undefined;
}
