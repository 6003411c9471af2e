/**
 * The images that services run or could be rolled back to: of every service the release that runs, the newest, and some
 * before it. Read from the records alone, so that it works when ECS does not.
 */
import type { Digest } from '../oci/index.js';
import type { RecordStore } from '../store/index.js';
import type { ServiceRecord } from './service-records.js';
import { CLUSTERS, keys, servicePartition } from './keys.js';
import type { Release } from './types.js';

export interface ImageInUse {
  readonly repository: string;
  readonly digest: Digest;
}

/** Releases of a service that stay deployable when nothing else is said. */
const RELEASES = 10;

/** Each at least once. @param releases how many of every service's newest releases count */
export async function* imagesInUse(records: RecordStore, releases = RELEASES): AsyncGenerator<ImageInUse> {
  for await (const cluster of sortsOf(records, CLUSTERS, '')) {
    for await (const name of sortsOf(records, `CLUSTER#${cluster}`, 'SERVICE#')) {
      yield* ofService(records, cluster, name, releases);
    }
  }
}

async function* ofService(
  records: RecordStore,
  cluster: string,
  name: string,
  releases: number,
): AsyncGenerator<ImageInUse> {
  const newest = await records.query<Release>(servicePartition(cluster, name), {
    prefix: 'R#',
    reverse: true,
    limit: releases,
  });
  for (const { value } of newest.records) yield value.image;
  const current = (await records.get<ServiceRecord>(keys.service(cluster, name)))?.value.currentRelease;
  if (current === undefined || newest.records.some(({ value }) => value.number === current)) return;
  const running = await records.get<Release>(keys.release(cluster, name, current));
  if (running !== undefined) yield running.value.image;
}

async function* sortsOf(records: RecordStore, partition: string, prefix: string): AsyncGenerator<string> {
  let cursor: string | undefined;
  do {
    const page = await records.query(partition, { prefix, limit: 200, ...(cursor === undefined ? {} : { cursor }) });
    for (const { sort } of page.records) yield sort.slice(prefix.length);
    cursor = page.cursor;
  } while (cursor !== undefined);
}
