/** Services and tasks: what a death of the API or of the reconciler may leave, and what it may not. */
import { expect } from '@jest/globals';
import { CLUSTER, found, type KillLab } from './lab.js';
import type { Operation } from './operation.js';
import { ecsService, ecsTasks, serviceTruth, told } from './truth.js';

export const IMAGE = 'team/web:1';
export const OTHER_IMAGE = 'team/web:2';

export const path = (name: string): string => `/v1/clusters/${CLUSTER}/services/${name}`;
export const spec = (image: string, count: number) => ({ image, count, ports: [{ container: 8080 }] });

async function settled(lab: KillLab, name: string): Promise<void> {
  await lab.upkeep(`the deployment of ${name} has ended`, async () => {
    const service = await found(lab.later.client.services.get(CLUSTER, name));
    return service === undefined || service.deployment?.status === 'completed';
  });
}

async function deployed(lab: KillLab, name: string, image: string, count: number): Promise<void> {
  await lab.now.client.services.put(CLUSTER, name, spec(image, count));
  await settled(lab, name);
}

export const deploy: Operation = {
  name: 'deploy a service',
  dies: 'api',
  prepare: (lab, id) => {
    const name = `new-${id}`;
    const json = spec(IMAGE, 2);
    const whole = {
      releases: [1],
      deployment: 'completed',
      ecs: 'ACTIVE 2',
      tasks: [2, 2],
      told: { 'release-created': 1, 'deployment-completed': 1 },
    };
    return Promise.resolve({
      act: async () => (await lab.now.call('PUT', path(name), { json })).status === 202,
      check: async (acknowledged) => {
        await settled(lab, name);
        const alone = await serviceTruth(lab, name);
        if (acknowledged || alone !== undefined) expect(alone).toEqual(whole);
        else expect(await ecsService(lab, name)).toBe('none');
        expect([200, 202]).toContain((await lab.later.call('PUT', path(name), { json })).status);
        await settled(lab, name);
        expect(await serviceTruth(lab, name)).toEqual(whole);
      },
    });
  },
};

export const scale: Operation = {
  name: 'scale a service',
  dies: 'api',
  prepare: async (lab, id) => {
    const name = `scaled-${id}`;
    await deployed(lab, name, IMAGE, 1);
    const json = spec(IMAGE, 3);
    const before = { releases: [1], ecs: 'ACTIVE 1', tasks: [1, 1] };
    const after = { releases: [2, 1], ecs: 'ACTIVE 3', tasks: [3, 3] };
    return {
      act: async () => (await lab.now.call('PUT', path(name), { json })).status === 202,
      check: async (acknowledged) => {
        await settled(lab, name);
        const alone = await serviceTruth(lab, name);
        expect(alone).toMatchObject(acknowledged || alone?.releases.length === 2 ? after : before);
        expect([200, 202]).toContain((await lab.later.call('PUT', path(name), { json })).status);
        await settled(lab, name);
        const told = { 'release-created': 2, 'deployment-completed': 2 };
        expect(await serviceTruth(lab, name)).toEqual({ ...after, deployment: 'completed', told });
      },
    };
  },
};

export const rollback: Operation = {
  name: 'roll a service back',
  dies: 'api',
  prepare: async (lab, id) => {
    const name = `back-${id}`;
    for (const image of [OTHER_IMAGE, IMAGE, OTHER_IMAGE]) await deployed(lab, name, image, 1);
    const options = { json: {}, key: `rollback-${id}` };
    return {
      act: async () => (await lab.now.call('POST', `${path(name)}/rollback`, options)).status === 202,
      check: async () => {
        await settled(lab, name);
        // Nobody can know whether a death was before or after: the same key asks for the same thing.
        expect((await lab.later.call('POST', `${path(name)}/rollback`, options)).status).toBe(202);
        await settled(lab, name);
        expect(await serviceTruth(lab, name)).toMatchObject({ releases: [4, 3, 2, 1], deployment: 'completed' });
        const { releases } = await lab.later.client.services.releases(CLUSTER, name);
        expect(releases[0]).toMatchObject({ rollbackOf: 2, image: { tag: '1' } });
      },
    };
  },
};

export const remove: Operation = {
  name: 'delete a service',
  dies: 'api',
  prepare: async (lab, id) => {
    const name = `gone-${id}`;
    await deployed(lab, name, IMAGE, 2);
    const isGone = async (): Promise<boolean> =>
      (await found(lab.later.client.services.get(CLUSTER, name))) === undefined;
    return {
      act: async () => (await lab.now.call('DELETE', path(name))).status === 202,
      check: async (acknowledged) => {
        await lab.upkeep(`${name} is gone, or stays`, async () => {
          const service = await found(lab.later.client.services.get(CLUSTER, name));
          return service === undefined || service.status === 'active';
        });
        if (acknowledged) expect(await isGone()).toBe(true);
        expect([202, 404]).toContain((await lab.later.call('DELETE', path(name))).status);
        await lab.upkeep(`${name} is gone`, isGone);
        const tasks = await ecsTasks(lab, { serviceName: name });
        const running = tasks.filter(({ lastStatus }) => lastStatus !== 'STOPPED');
        expect([await ecsService(lab, name), running]).toEqual(['none', []]);
        expect(await told(lab, name)).toMatchObject({ 'service-deleted': 1 });
      },
    };
  },
};

/** The tasks that ECS has started for this world. */
function startedIn({ cloud }: KillLab, world: string): string[] {
  const tasks = cloud.ecs.agent.runs.filter(({ containers }) =>
    containers.some(({ environment }) => environment.includes(`WORLD=${world}`)),
  );
  return [...new Set(tasks.map(({ taskId }) => taskId))];
}

export const runTask: Operation = {
  name: 'run a task',
  dies: 'api',
  prepare: (lab, id) => {
    const options = { key: `task-${id}`, json: { image: IMAGE, env: { WORLD: id } } };
    return Promise.resolve({
      act: async () => (await lab.now.call('POST', `/v1/clusters/${CLUSTER}/tasks`, options)).status === 201,
      check: async (acknowledged) => {
        // ECS may still be at it when the function has died.
        await lab.upkeep('what was started is known', async () => {
          const known = startedIn(lab, id).map((task) => found(lab.later.client.tasks.get(CLUSTER, task)));
          return (await Promise.all(known)).every((task) => task?.desiredStatus === 'RUNNING');
        });
        if (acknowledged) expect(startedIn(lab, id)).toHaveLength(1);
        const { status, body } = await lab.later.call('POST', `/v1/clusters/${CLUSTER}/tasks`, options);
        expect([status, startedIn(lab, id)]).toEqual([201, [body['id']]]);
      },
    });
  },
};

const MANY = 12;

export const runTasks: Operation = {
  name: 'run many tasks',
  dies: 'api',
  prepare: (lab, id) => {
    const json = { image: IMAGE, env: { WORLD: id }, count: MANY, cpu: 2, memory: 6 };
    const ask = (run: KillLab['now']) =>
      run.call('POST', `/v1/clusters/${CLUSTER}/tasks`, { key: `tasks-${id}`, json });
    return Promise.resolve({
      act: async () => (await ask(lab.now)).status === 200,
      check: async (acknowledged) => {
        if (acknowledged) expect(startedIn(lab, id)).toHaveLength(MANY);
        const { status, body } = await ask(lab.later);
        expect([status, body['notStarted']]).toEqual([200, 0]);
        const ids = (body['tasks'] as readonly { readonly id: string }[]).map((task) => task.id);
        expect(startedIn(lab, id).sort()).toEqual(ids.sort());
        expect(ids).toHaveLength(MANY);
        for (const task of ids) await lab.later.client.tasks.stop(CLUSTER, task);
      },
    });
  },
};

export const endByEvents: Operation = {
  name: 'apply the events of a deployment',
  dies: 'reconciler',
  prepare: async (lab, id) => {
    const name = `told-${id}`;
    const { ecs } = lab.cloud;
    const first = ecs.events.length;
    await lab.now.client.services.put(CLUSTER, name, spec(IMAGE, 2));
    const isSteady = (): boolean =>
      ecs.events.slice(first).some((event) => JSON.stringify(event).includes('SERVICE_DEPLOYMENT_COMPLETED'));
    for (let looks = 0; !isSteady(); looks += 1) {
      if (looks > 1000) throw new Error(`${name} never became steady`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const bodies = ecs.events
      .slice(first)
      .map((event) => JSON.stringify(event))
      .filter((body) => body.includes(name));
    const batch = (order: readonly string[]): object => ({
      Records: order.map((body, n) => ({
        messageId: `m${n}`,
        receiptHandle: `r${n}`,
        body,
        attributes: { ApproximateReceiveCount: '1' },
      })),
    });
    return {
      act: async () => {
        const { batchItemFailures } = await lab.now
          .fn('reconciler')
          .invoke<{ batchItemFailures: object[] }>(batch(bodies));
        return batchItemFailures.length === 0;
      },
      check: async () => {
        // They come again, in another order, each twice.
        const again = [...bodies.toReversed(), ...bodies];
        expect(await lab.later.fn('reconciler').invoke(batch(again))).toEqual({ batchItemFailures: [] });
        expect(await serviceTruth(lab, name)).toEqual({
          releases: [1],
          deployment: 'completed',
          ecs: 'ACTIVE 2',
          tasks: [2, 2],
          told: { 'release-created': 1, 'deployment-completed': 1 },
        });
        const { tasks } = await lab.later.client.tasks.list(CLUSTER, { service: name });
        expect(tasks.map(({ status }) => status)).toEqual(['RUNNING', 'RUNNING']);
      },
    };
  },
};
