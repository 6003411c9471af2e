/** The builder function: from a tar over the HTTP API and a queue message to an image that can be pulled. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { withContext } from '../../lib/cli/send-context.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import type { Files } from '../build/fixture.js';
import { Wire } from '../protocol/registry/wire.js';
import type { SqsEvent } from '../fakes/lambda/event-source.js';
import { clientOf, submit } from './builds.js';
import { ADMIN_TOKEN, type Cloud } from './cloud.js';

interface BatchAnswer {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[];
}

function delivered(event: SqsEvent, times: number): SqsEvent {
  const attributes = { ApproximateReceiveCount: String(times) };
  return { Records: event.Records.map((record) => ({ ...record, attributes })) };
}

const idOf = (event: SqsEvent): string => event.Records[0]?.messageId ?? '';

export function buildSuite(cloud: () => Cloud): void {
  describe('the builder function', () => {
    test('makes a pullable image for the instances of a context without RUN', async () => {
      const files: Files = {
        Dockerfile: 'FROM scratch\nCOPY hello.txt /hello.txt\nCMD ["/x"]\n',
        'hello.txt': 'hello',
      };
      const { id, event } = await submit(cloud(), files, 'team/hello:1');
      expect(await cloud().fn('builder').invoke(event)).toEqual({ batchItemFailures: [] });
      const build = await clientOf(cloud()).builds.get(id);
      expect(build).toMatchObject({ status: 'succeeded', result: { tags: ['team/hello:1'] } });
      const wire = new Wire({ url: cloud().gateway.url, tokens: { admin: ADMIN_TOKEN, deploy: '', read: '' } });
      const manifest = await wire.send('GET', '/v2/team/hello/manifests/1');
      expect(manifest.headers.get('docker-content-digest')).toBe(build.result?.digest);
      const { platform, layers } = await clientOf(cloud()).images.get('team/hello:1');
      expect([platform, layers?.length]).toEqual(['linux/arm64', 1]);
      const events: string[] = [];
      for await (const logged of clientOf(cloud()).builds.follow(id)) events.push(logged.event.type);
      expect(events.at(-1)).toBe('finished');
    });

    test('takes from `wharf build` a context of 20 MB, which is more than any request may have, to the byte', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'wharf-large-context-'));
      try {
        await writeFile(join(folder, 'Dockerfile'), 'FROM scratch\nCOPY large /large\n');
        // Of random bytes, so that the layer has to have them all.
        const large = randomBytes(20 * 1024 ** 2);
        await writeFile(join(folder, 'large'), large);
        const client = clientOf(cloud());
        const deps = { client, cwd: folder, env: { XDG_CACHE_HOME: folder }, clock: systemClock };
        const { id } = await withContext(deps, { folder: '.' }, (context, dockerfile) =>
          client.builds.fromContext({ context, dockerfile, tags: ['team/large:1'] }),
        );
        for (const event of await cloud().takeBuildEvents()) await cloud().fn('builder').invoke(event);
        expect(await client.builds.get(id)).toMatchObject({ status: 'succeeded' });
        const { layers = [] } = await client.images.get('team/large:1');
        expect(layers.map(({ size }) => size >= large.length)).toEqual([true]);
      } finally {
        await rm(folder, { recursive: true });
      }
    });

    test('takes a message twice without building twice', async () => {
      const { id, event } = await submit(cloud(), { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' }, 'team/twice');
      await cloud().fn('builder').invoke(event);
      const first = await clientOf(cloud()).builds.get(id);
      expect(await cloud().fn('builder').invoke(event)).toEqual({ batchItemFailures: [] });
      expect(await clientOf(cloud()).builds.get(id)).toEqual(first);
    });

    test('fails a RUN that is not in the cache while there is no worker image, and tells how to make it', async () => {
      const files = { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\nRUN ["/bin/true"]\n' };
      const { id, event } = await submit(cloud(), files, 'team/run');
      expect(await cloud().fn('builder').invoke(event)).toEqual({ batchItemFailures: [] });
      const { status, error } = await clientOf(cloud()).builds.get(id);
      expect([status, error?.code]).toEqual(['failed', 'BUILD_RUN_UNAVAILABLE']);
      expect(error?.hint).toMatch(/npm run worker-image/);
      const texts: string[] = [];
      for await (const { event: told } of clientOf(cloud()).builds.follow(id)) {
        if (told.type === 'message') texts.push(told.text);
      }
      expect(texts.join()).toMatch(/Dockerfile:3:1: RUN needs a container/);
    });

    test('hands a build back before its time runs out, and fails it at the last delivery', async () => {
      const { id, event } = await submit(cloud(), { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' }, 'team/slow');
      const answer = await cloud().fn('builder').invoke<BatchAnswer>(event, { timeoutMs: 19_000 });
      expect(answer.batchItemFailures).toEqual([{ itemIdentifier: idOf(event) }]);
      expect(['queued', 'running']).toContain((await clientOf(cloud()).builds.get(id)).status);
      expect(await cloud().fn('builder').invoke(delivered(event, 3), { timeoutMs: 19_000 })).toEqual({
        batchItemFailures: [],
      });
      const { status, error } = await clientOf(cloud()).builds.get(id);
      expect([status, error?.code]).toEqual(['failed', 'BUILD_TIME_LIMIT']);
    });
  });
}
