/** Builds sent to the API function, and taken to the builder as Lambda would. */
import { WharfClient } from '../../lib/client/index.js';
import { writeTar } from '../../lib/layers/index.js';
import { type Files, membersOf } from '../build/fixture.js';
import type { SqsEvent } from '../fakes/lambda/event-source.js';
import { ADMIN_TOKEN, type Cloud } from './cloud.js';

export function clientOf(cloud: Cloud): WharfClient {
  return new WharfClient({ url: cloud.gateway.url, token: ADMIN_TOKEN });
}

/** Submits a build and returns the event by which Lambda would hand it to the builder. */
export async function submit(cloud: Cloud, files: Files, tag: string): Promise<{ id: string; event: SqsEvent }> {
  const { id } = await clientOf(cloud).builds.fromTar(writeTar(membersOf(files)), { tags: [tag] });
  const event = (await cloud.takeBuildEvents()).find(({ Records }) => Records[0]?.body.includes(id));
  if (event === undefined) throw new Error(`no message for build ${id}`);
  return { id, event };
}

/** Builds an image without RUN. */
export async function buildImage(cloud: Cloud, tag: string, content: string): Promise<void> {
  const dockerfile = 'FROM scratch\nCOPY page /www/page\nEXPOSE 8080\nCMD ["/server"]\n';
  const { id, event } = await submit(cloud, { Dockerfile: dockerfile, page: content }, tag);
  await cloud.fn('builder').invoke(event);
  const build = await clientOf(cloud).builds.get(id);
  if (build.status !== 'succeeded') throw new Error(JSON.stringify(build.error));
}
