import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createPlatformFixture, type PlatformFixture } from './platform-fixture.js';

let fixture: PlatformFixture;

beforeEach(async () => {
  fixture = await createPlatformFixture();
  await fixture.platform.clusters.put('main', { instances: 2 });
  await fixture.images.add('hello:1');
  await fixture.images.add('hello:2', { label: 'two' });
});

afterEach(() => fixture.close());

const spec = (image: string, count = 2) => ({ image, count });

async function ends(service = 'web'): Promise<string> {
  const { platform, until } = fixture;
  const status = async () => (await platform.services.get('main', service))?.deployment?.status ?? 'none';
  await until('the deployment ends', async () => !['pending', 'in-progress'].includes(await status()));
  return status();
}

describe('deploying a service', () => {
  test('makes release 1 and runs one task on each of two instances', async () => {
    const { platform } = fixture;
    const deployed = await platform.services.put('main', 'web', spec('hello:1'));
    expect(deployed).toMatchObject({ changed: true, release: { number: 1, ports: [{ container: 8080 }] } });
    expect(await ends()).toBe('completed');
    const service = await platform.services.get('main', 'web');
    expect(service).toMatchObject({ release: 1, currentRelease: 1, count: { desired: 2, running: 2 } });
    expect(service?.url).toBe('http://web.main.localhost');
    await fixture.until('both tasks are told of', async () => {
      const { items } = await platform.tasks.list('main', { service: 'web' });
      return items.length === 2 && items.every(({ status }) => status === 'RUNNING');
    });
    const { items } = await platform.tasks.list('main', { service: 'web' });
    expect(new Set(items.map(({ instance }) => instance)).size).toBe(2);
    expect(items.map(({ release }) => release)).toEqual([1, 1]);
  });

  test('pins the digest the tag meant, so that a moved tag changes nothing that runs', async () => {
    const { platform, images, agent } = fixture;
    const { release } = await platform.services.put('main', 'web', spec('hello:1', 1));
    await ends();
    await images.add('hello:1', { label: 'moved' });
    expect(agent.payload(agent.taskIds[0] ?? '').containers[0]?.image).toBe(`hello@${release.image.digest}`);
  });

  test('changes nothing when the same spec comes again', async () => {
    const { platform } = fixture;
    await platform.services.put('main', 'web', spec('hello:1'));
    await ends();
    const again = await platform.services.put('main', 'web', spec('hello:1'));
    expect(again).toMatchObject({ changed: false, release: { number: 1 } });
    expect((await platform.services.releases('main', 'web')).items).toHaveLength(1);
  });

  test('makes a new release when the tag means another image, and replaces all tasks', async () => {
    const { platform, images } = fixture;
    await platform.services.put('main', 'web', spec('hello:1'));
    await ends();
    const digest = await images.add('hello:1', { label: 'moved' });
    const { release } = await platform.services.put('main', 'web', spec('hello:1'));
    expect(release).toMatchObject({ number: 2, image: { digest } });
    expect(await ends()).toBe('completed');
    const { items } = await platform.tasks.list('main', { service: 'web' });
    expect(items.map((task) => task.release)).toEqual([2, 2]);
  });

  test('a change of count alone keeps the tasks that run', async () => {
    const { platform, agent } = fixture;
    await platform.services.put('main', 'web', spec('hello:1', 1));
    await ends();
    const before = agent.taskIds;
    await platform.services.put('main', 'web', spec('hello:1', 3));
    expect(await ends()).toBe('completed');
    expect(agent.taskIds).toEqual(expect.arrayContaining(before));
    expect(agent.taskIds).toHaveLength(3);
  });

  test('registers a task definition once for the same content', async () => {
    const { platform } = fixture;
    await platform.services.put('main', 'web', spec('hello:1', 1));
    await ends();
    await platform.services.put('main', 'web', spec('hello:1', 2));
    await ends();
    const { items } = await platform.services.deployments('main', 'web');
    expect(new Set(items.map(({ taskDefinitionArn }) => taskDefinitionArn)).size).toBe(1);
  });

  test('a newer release supersedes one that is under way', async () => {
    const { platform, agent } = fixture;
    agent.auto = false;
    await platform.services.put('main', 'web', spec('hello:1', 1));
    agent.auto = true;
    await platform.services.put('main', 'web', spec('hello:2', 1));
    expect(await ends()).toBe('completed');
    const { items } = await platform.services.deployments('main', 'web');
    expect(items.map(({ release, status }) => [release, status])).toEqual([
      [2, 'completed'],
      [1, 'superseded'],
    ]);
  });

  test('concurrent deployments get different numbers and the last one wins', async () => {
    const { platform } = fixture;
    const both = await Promise.all([
      platform.services.put('main', 'web', spec('hello:1', 1)),
      platform.services.put('main', 'web', spec('hello:2', 1)),
    ]);
    expect(both.map(({ release }) => release.number).sort((a, b) => a - b)).toEqual([1, 2]);
    expect(await ends()).toBe('completed');
    expect(await platform.services.get('main', 'web')).toMatchObject({ release: 2, currentRelease: 2 });
  });
});

describe('pre-flight refuses, and touches nothing,', () => {
  test.each([
    ['an image that is not there', 'hello:9', 'IMAGE_NOT_FOUND'],
    ['a repository that is not there', 'nothing:1', 'IMAGE_NOT_FOUND'],
    ['an image of another registry', 'docker.io/library/nginx:1', 'IMAGE_REGISTRY_FOREIGN'],
    ['an image for another processor', 'arm:1', 'IMAGE_PLATFORM_MISMATCH'],
    ['a name that is no reference', 'UPPER//case', 'REFERENCE_INVALID'],
  ])('%s', async (_, image, code) => {
    await fixture.images.add('arm:1', { architecture: 'arm64' });
    await expect(fixture.platform.services.put('main', 'web', spec(image))).rejects.toMatchObject({ code });
    expect(await fixture.platform.services.get('main', 'web')).toBeUndefined();
  });

  test('a cluster that is not there, and a name that is no host name', async () => {
    const { services } = fixture.platform;
    await expect(services.put('other', 'web', spec('hello:1'))).rejects.toMatchObject({ code: 'CLUSTER_NOT_FOUND' });
    await expect(services.put('main', 'We_b', spec('hello:1'))).rejects.toMatchObject({ code: 'NAME_INVALID' });
  });

  test('the same port twice, and a health path without a TCP port', async () => {
    const { services } = fixture.platform;
    const twice = { ...spec('hello:1'), ports: [{ container: 80 }, { container: 80 }] };
    await expect(services.put('main', 'web', twice)).rejects.toMatchObject({ code: 'SPEC_INVALID' });
    const none = { ...spec('hello:1'), ports: [], health: { path: '/' } };
    await expect(services.put('main', 'web', none)).rejects.toMatchObject({ code: 'SPEC_INVALID' });
  });
});

describe('a release that does not come up', () => {
  test('fails with one sentence that says why, when there is nothing to go back to', async () => {
    const { platform, agent, until } = fixture;
    agent.auto = false;
    await platform.services.put('main', 'web', spec('hello:1', 1));
    await until('it fails', async () => {
      for (const id of agent.taskIds) agent.failToStart(id, 'CannotPullContainerError: manifest unknown');
      return (await platform.services.get('main', 'web'))?.deployment?.status === 'failed';
    });
    const service = await platform.services.get('main', 'web');
    expect(service?.deployment?.reason).toMatch(/CannotPullContainerError: manifest unknown/);
    expect(service?.currentRelease).toBeUndefined();
  });

  test('is rolled back to the release before, which never stopped running', async () => {
    const { platform, agent, until } = fixture;
    await platform.services.put('main', 'web', spec('hello:1', 1));
    await ends();
    const before = agent.taskIds;
    agent.auto = false;
    await platform.services.put('main', 'web', spec('hello:2', 1));
    await until('it is rolled back', async () => {
      for (const id of agent.taskIds) {
        if (before.includes(id)) continue;
        agent.container(id, 'web', 'RUNNING');
        agent.exit(id, 'web', 3);
      }
      return (await platform.services.get('main', 'web'))?.deployment?.status === 'rolled-back';
    });
    const service = await platform.services.get('main', 'web');
    expect(service?.deployment).toMatchObject({ release: 2, rolledBackTo: 1 });
    expect(service?.deployment?.reason).toMatch(/exit code 3/);
    expect(service?.currentRelease).toBe(1);
    expect(agent.taskIds).toEqual(before);
  });

  test('may be deployed again with the same spec', async () => {
    const { platform, agent, until } = fixture;
    agent.auto = false;
    await platform.services.put('main', 'web', spec('hello:1', 1));
    await until('it fails', async () => {
      for (const id of agent.taskIds) agent.failToStart(id);
      return (await platform.services.get('main', 'web'))?.deployment?.status === 'failed';
    });
    agent.auto = true;
    expect(await platform.services.put('main', 'web', spec('hello:1', 1))).toMatchObject({ changed: true });
    expect(await ends()).toBe('completed');
  });
});

describe('rolling back', () => {
  test('makes a new release that copies the one before', async () => {
    const { platform } = fixture;
    const first = await platform.services.put('main', 'web', spec('hello:1', 1));
    await ends();
    await platform.services.put('main', 'web', spec('hello:2', 1));
    await ends();
    const back = await platform.services.rollback('main', 'web');
    expect(back.release).toMatchObject({ number: 3, rollbackOf: 1, image: first.release.image });
    expect(await ends()).toBe('completed');
    const { items } = await platform.tasks.list('main', { service: 'web' });
    expect(items.map(({ release }) => release)).toEqual([3]);
  });

  test('happens once for one intent, however often it is asked for', async () => {
    const { platform } = fixture;
    for (const image of ['hello:1', 'hello:2']) {
      await platform.services.put('main', 'web', spec(image, 1));
      await ends();
    }
    const intent = 'one click';
    for (let asked = 0; asked < 3; asked += 1) {
      const back = await platform.services.rollback('main', 'web', { intent });
      expect(back.release).toMatchObject({ number: 3, rollbackOf: 1 });
      await ends();
    }
    const other = await platform.services.rollback('main', 'web', { intent: 'another' });
    expect(other.release).toMatchObject({ number: 4, rollbackOf: 2 });
  });

  test('goes to the release that was named, even if the tag moved since', async () => {
    const { platform, images } = fixture;
    const first = await platform.services.put('main', 'web', spec('hello:1', 1));
    await ends();
    await images.add('hello:1', { label: 'moved' });
    await platform.services.put('main', 'web', spec('hello:1', 1));
    await ends();
    const back = await platform.services.rollback('main', 'web', { to: 1 });
    expect(back.release.image.digest).toBe(first.release.image.digest);
  });

  test('is refused without an earlier release, and for one that never was', async () => {
    const { platform } = fixture;
    await platform.services.put('main', 'web', spec('hello:1', 1));
    await ends();
    await expect(platform.services.rollback('main', 'web')).rejects.toMatchObject({ code: 'ROLLBACK_IMPOSSIBLE' });
    await expect(platform.services.rollback('main', 'web', { to: 7 })).rejects.toMatchObject({
      code: 'RELEASE_NOT_FOUND',
    });
    await expect(platform.services.rollback('main', 'no')).rejects.toMatchObject({ code: 'SERVICE_NOT_FOUND' });
  });
});

describe('deleting a service', () => {
  test('stops its tasks, and a new one of the name goes on with the numbers', async () => {
    const { platform, agent, until } = fixture;
    await platform.services.put('main', 'web', spec('hello:1', 2));
    await ends();
    await platform.services.remove('main', 'web');
    await until('it is gone', async () => (await platform.services.get('main', 'web')) === undefined);
    expect(agent.taskIds).toEqual([]);
    expect((await platform.services.list('main')).items).toEqual([]);
    const { release } = await platform.services.put('main', 'web', spec('hello:2', 1));
    expect(release.number).toBe(2);
    expect(await ends()).toBe('completed');
  });
});
