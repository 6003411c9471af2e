/** Builds and pushes: none is lost, and what was acknowledged can be pulled. */
import { expect } from '@jest/globals';
import { writeTar } from '../../../lib/layers/index.js';
import { digestOf } from '../../../lib/oci/index.js';
import { type Files, membersOf } from '../../build/fixture.js';
import { SCHEDULED, type KillLab } from './lab.js';
import type { Operation } from './operation.js';
import { ecsTasks, pullable } from './truth.js';

async function tarOf(files: Files): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of writeTar(membersOf(files))) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Layers that no other world shares. */
const contextOf = (id: string, more = ''): Files => ({
  Dockerfile: `FROM scratch\nCOPY page /www/page\nCOPY Dockerfile /\n${more}CMD ["/server"]\n`,
  page: `world ${id}`,
});

async function submit(lab: KillLab, files: Files, tag: string): Promise<string> {
  const { status, body } = await lab.now.call('POST', `/v1/builds?tag=${tag}`, { tar: await tarOf(files) });
  if (status !== 202) throw new Error(`build of ${tag}: ${status} ${JSON.stringify(body)}`);
  return String(body['id']);
}

/** As the queue does until the builder no longer names the message as failed. */
async function deliver(lab: KillLab, build: string): Promise<void> {
  const events = await lab.eventsOf(build);
  expect(events.length).toBeGreaterThan(0);
  for (const event of events) {
    expect(await lab.later.fn('builder').invoke(event)).toEqual({ batchItemFailures: [] });
  }
}

async function expectBuilt(lab: KillLab, build: string, repository: string): Promise<void> {
  expect(await lab.later.client.builds.get(build)).toMatchObject({ status: 'succeeded' });
  expect(await pullable(lab, repository, '1')).toBe(true);
  const events: string[] = [];
  for await (const { event } of lab.later.client.builds.follow(build)) events.push(event.type);
  expect(events.filter((type) => type === 'finished')).toHaveLength(1);
}

export const submitBuild: Operation = {
  name: 'submit a build',
  dies: 'api',
  prepare: async (lab, id) => {
    const repository = `submitted/${id}`;
    const options = { key: `build-${id}`, tar: await tarOf(contextOf(id)) };
    const own = async (): Promise<readonly string[]> => {
      const { builds } = await lab.later.client.builds.list({ limit: 200 });
      return builds.filter(({ request }) => request.tags[0] === `${repository}:1`).map((build) => build.id);
    };
    return {
      act: async () => (await lab.now.call('POST', `/v1/builds?tag=${repository}:1`, options)).status === 202,
      check: async (acknowledged) => {
        // A record without a message is found by the sweep, whether anybody asks again or not.
        await lab.later.fn('builder').invoke(SCHEDULED);
        const alone = await own();
        if (acknowledged) expect(alone).toHaveLength(1);
        for (const build of alone) expect((await lab.eventsOf(build)).length).toBeGreaterThan(0);
        const { status, body } = await lab.later.call('POST', `/v1/builds?tag=${repository}:1`, options);
        expect([status, await own()]).toEqual([202, [body['id']]]);
        await deliver(lab, String(body['id']));
        await expectBuilt(lab, String(body['id']), repository);
      },
    };
  },
};

export const build: Operation = {
  name: 'build an image',
  dies: 'builder',
  prepare: async (lab, id) => {
    const repository = `built/${id}`;
    const made = await submit(lab, contextOf(id), `${repository}:1`);
    const [event] = await lab.eventsOf(made);
    return {
      act: async () => {
        const answer = await lab.now.fn('builder').invoke<{ batchItemFailures: object[] }>(event);
        return answer.batchItemFailures.length === 0;
      },
      check: async (acknowledged) => {
        if (acknowledged) await expectBuilt(lab, made, repository);
        // A tag that is there before the build has ended is the whole image.
        await pullable(lab, repository, '1');
        await deliver(lab, made);
        await expectBuilt(lab, made, repository);
      },
    };
  },
};

export const handOver: Operation = {
  name: 'hand a build over to a worker',
  dies: 'builder',
  prepare: async (lab, id) => {
    const made = await submit(lab, contextOf(id, `RUN ["/bin/make", "${id}"]\n`), `handed/${id}:1`);
    const [event] = await lab.eventsOf(made);
    return {
      act: async () => {
        const answer = await lab.now.fn('builder').invoke<{ batchItemFailures: object[] }>(event);
        return answer.batchItemFailures.length === 0;
      },
      check: async (acknowledged) => {
        if (!acknowledged) await deliver(lab, made);
        for (let minute = 0; minute < 2; minute += 1) await lab.later.fn('builder').invoke(SCHEDULED);
        const workers = await ecsTasks(lab, { startedBy: made });
        expect(workers.map(({ lastStatus }) => lastStatus)).toEqual(['RUNNING']);
        expect(await lab.later.client.builds.get(made)).toMatchObject({ status: 'running' });
      },
    };
  },
};

interface TestImage {
  readonly config: Buffer;
  readonly layer: Buffer;
  readonly manifest: { readonly bytes: Buffer; readonly mediaType: string };
}

function imageOf(id: string): TestImage {
  const config = Buffer.from(JSON.stringify({ architecture: 'arm64', os: 'linux', id, rootfs: { type: 'layers' } }));
  const layer = Buffer.alloc(300_000, `layer ${id} `);
  const part = (mediaType: string, bytes: Buffer) => ({ mediaType, digest: digestOf(bytes), size: bytes.length });
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const document = {
    schemaVersion: 2,
    mediaType,
    config: part('application/vnd.oci.image.config.v1+json', config),
    layers: [part('application/vnd.oci.image.layer.v1.tar', layer)],
  };
  return { config, layer, manifest: { bytes: Buffer.from(JSON.stringify(document)), mediaType } };
}

/** As a client does: the blobs, then the manifest; given up at the first refusal. */
async function pushImage(
  wire: KillLab['now']['wire'],
  repository: string,
  { config, layer, manifest }: TestImage,
): Promise<boolean> {
  for (const bytes of [config, layer]) {
    const pushed = await wire.push(repository, bytes, 'stream').catch(() => undefined);
    if (pushed?.status !== 201) return false;
  }
  return (await wire.put(repository, '1', manifest)).status === 201;
}

export const push: Operation = {
  name: 'push an image',
  dies: 'registry',
  prepare: (lab, id) => {
    const repository = `pushed/${id}`;
    const image = imageOf(id);
    return Promise.resolve({
      act: () => pushImage(lab.now.wire, repository, image),
      check: async (acknowledged) => {
        const isThere = await pullable(lab, repository, '1');
        if (acknowledged) expect(isThere).toBe(true);
        expect(await pushImage(lab.later.wire, repository, image)).toBe(true);
        expect(await pullable(lab, repository, '1')).toBe(true);
        const { tags } = JSON.parse(
          (await lab.later.wire.send('GET', `/v2/${repository}/tags/list`)).bytes.toString(),
        ) as { tags: string[] };
        expect(tags).toEqual(['1']);
      },
    });
  },
};

/** Passes until there is nothing to do. */
async function passes(collector: ReturnType<KillLab['collector']>): Promise<void> {
  try {
    for (let invoked = 0; (await collector.invoke<string>(SCHEDULED)) !== 'resting'; invoked += 1) {
      if (invoked > 20) throw new Error('the collector never finished');
    }
  } finally {
    await collector.close();
  }
}

let days = 400;

/** Nobody needs one of two images; a pass chooses its blobs, and one of a later day takes them away. */
function collecting(name: string, passesBefore: 0 | 1): Operation {
  return {
    name,
    dies: 'collector',
    prepare: async (lab, id) => {
      const { wire } = lab.later;
      const [kept, unused] = [imageOf(`kept ${id}`), imageOf(`unused ${id}`)];
      for (const [repository, image] of [[`kept/${id}`, kept] as const, [`unused/${id}`, unused] as const]) {
        if (!(await pushImage(wire, repository, image))) throw new Error(`${repository} was not taken`);
      }
      const digest = digestOf(unused.manifest.bytes);
      await wire.send('DELETE', `/v2/unused/${id}/manifests/${digest}`);
      // Each time so much later that no pass of before counts, and that what was deleted may go.
      days += 100;
      const day = days;
      for (let before = 0; before < passesBefore; before += 1) await passes(lab.collector(day + before));
      const dying = lab.collector(day + passesBefore);
      const unusedStays = async (): Promise<boolean> =>
        (await wire.send('HEAD', `/v2/unused/${id}/blobs/${digestOf(unused.layer)}`)).status === 200;
      return {
        act: async () => {
          lab.doom.aim(dying);
          return (await dying.invoke<string>(SCHEDULED)) === 'finished';
        },
        check: async () => {
          await dying.close();
          // A quarter of an hour on: the claim of one that died has run out.
          for (const later of [passesBefore + 0.01, passesBefore + 1]) await passes(lab.collector(day + later));
          expect(await pullable(lab, `kept/${id}`, '1')).toBe(true);
          expect(await unusedStays()).toBe(false);
        },
      };
    },
  };
}

export const chooseUnused = collecting('choose what nobody needs', 0);
export const collect = collecting('collect what nobody needs', 1);
