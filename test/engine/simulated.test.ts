/** The runtime that runs nothing: tasks are played by the clock, by script, and marked. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { readScript } from '../../lib/engine/simulated/script.js';
import { createEngineFixture, until, type EngineFixture, type TaskBody } from './engine-fixture.js';

let engine: EngineFixture;
beforeEach(async () => {
  engine = await createEngineFixture({ simulated: true });
  await engine.instance();
});
afterEach(() => engine.close());

async function run(container: object, change: object = {}): Promise<string> {
  await engine.definition('app', change, container);
  const { tasks } = await engine.ecs('RunTask', { taskDefinition: 'app' });
  return tasks?.[0]?.taskArn ?? '';
}

async function task(arn: string): Promise<TaskBody> {
  const found = (await engine.ecs('DescribeTasks', { tasks: [arn] })).tasks?.[0];
  if (found === undefined) throw new Error(`no task ${arn}`);
  return found;
}

const is = (arn: string, status: string) =>
  until(`it is ${status}`, async () => (await task(arn)).lastStatus === status);
const script = (value: string) => ({ environment: [{ name: 'WHARF_SIMULATE', value }] });

describe('a simulated task', () => {
  test('runs until it is stopped, with all its states, and bears the mark', async () => {
    const arn = await run({ portMappings: [{ containerPort: 80 }] });
    await is(arn, 'RUNNING');
    const running = await task(arn);
    expect(running).toMatchObject({ attributes: [{ name: 'wharf.runtime', value: 'simulated' }] });
    expect(running.containers[0]).toMatchObject({ runtimeId: expect.stringMatching(/^simulated-/) });
    expect(running.containers[0]?.networkBindings).toMatchObject([{ containerPort: 80, hostPort: 32_768 }]);
    await engine.ecs('StopTask', { task: arn });
    await is(arn, 'STOPPED');
    expect((await task(arn)).containers[0]).toMatchObject({ exitCode: 143 });
    const states = (): string[] =>
      engine.events
        .filter(({ resources }) => resources[0] === arn)
        .map(({ detail }) => `${String(detail['lastStatus'])} ${String(detail['version'])}`);
    await until('told', () => states().length >= 5);
    expect(states()).toEqual(['PENDING 1', 'RUNNING 2', 'STOPPING 3', 'STOPPING 4', 'STOPPED 5']);
  });

  test('takes its time for the image and the start, and ends with its code after its time', async () => {
    const arn = await run(script('pull=2s start=1s run=10s exit=3'));
    await engine.quiet();
    expect((await task(arn)).lastStatus).toBe('PENDING');
    engine.clock.advance(2000);
    await engine.quiet();
    expect((await task(arn)).lastStatus).toBe('PENDING');
    engine.clock.advance(1000);
    await is(arn, 'RUNNING');
    engine.clock.advance(10_000);
    await is(arn, 'STOPPED');
    const ended = await task(arn);
    expect(ended).toMatchObject({ stopCode: 'EssentialContainerExited' });
    expect(ended.containers[0]).toMatchObject({ exitCode: 3 });
  });

  test('fails to start when it is told to, and when its script cannot be read', async () => {
    const failed = await run(script('fail=CannotPullContainerError'));
    await is(failed, 'STOPPED');
    expect(await task(failed)).toMatchObject({ stopCode: 'TaskFailedToStart' });
    const wrong = await run(script('ext=3'));
    await is(wrong, 'STOPPED');
    expect((await task(wrong)).stoppedReason).toContain('healthy-after');
  });

  test('is killed when it does not obey in time', async () => {
    const arn = await run({ ...script('stop=60s'), stopTimeout: 5 });
    await is(arn, 'RUNNING');
    await engine.ecs('StopTask', { task: arn });
    await engine.quiet();
    expect((await task(arn)).lastStatus).toBe('STOPPING');
    engine.clock.advance(5000);
    await is(arn, 'STOPPED');
    expect((await task(arn)).containers[0]).toMatchObject({ exitCode: 137 });
  });

  test('keeps the order of dependsOn and reports health', async () => {
    const healthCheck = { command: ['CMD', 'true'] };
    await engine.ecs('RegisterTaskDefinition', {
      family: 'pair',
      containerDefinitions: [
        { name: 'db', image: 'db', memory: 64, healthCheck, ...script('healthy-after=5s') },
        { name: 'app', image: 'app', memory: 64, dependsOn: [{ containerName: 'db', condition: 'HEALTHY' }] },
      ],
    });
    const { tasks } = await engine.ecs('RunTask', { taskDefinition: 'pair' });
    const arn = tasks?.[0]?.taskArn ?? '';
    await until('db runs', async () => (await task(arn)).containers[0]?.lastStatus === 'RUNNING');
    expect((await task(arn)).containers[1]?.lastStatus).toBe('PENDING');
    engine.clock.advance(5000);
    await is(arn, 'RUNNING');
    expect((await task(arn)).healthStatus).toBe('HEALTHY');
  });

  test('is played again after a kill of the engine, without a change of its record', async () => {
    const arn = await run({});
    await is(arn, 'RUNNING');
    const { version } = await task(arn);
    await engine.restart();
    await engine.quiet();
    expect(await task(arn)).toMatchObject({ lastStatus: 'RUNNING', version });
  });

  test('lets services roll over and the circuit breaker trip', async () => {
    await engine.definition('app');
    await engine.ecs('CreateService', {
      serviceName: 'web',
      taskDefinition: 'app',
      desiredCount: 1,
      deploymentConfiguration: { deploymentCircuitBreaker: { enable: true, rollback: true } },
    });
    await until('one runs', async () => (await engine.service('web')).runningCount === 1);
    engine.clock.advance(40_000);
    await until('complete', async () => (await engine.service('web')).deployments[0]?.rolloutState === 'COMPLETED');
    await engine.definition('app', {}, script('fail=CannotPullContainerError'));
    await engine.ecs('UpdateService', { service: 'web', taskDefinition: 'app' });
    await until('rolled back', async () => {
      engine.clock.advance(5000);
      return (await engine.service('web')).taskDefinition.endsWith('app:1');
    });
  });

  test('stands on an instance with the same mark', async () => {
    const list = await engine.ecs('ListContainerInstances', { filter: 'attribute:wharf.runtime == simulated' });
    expect(list['containerInstanceArns']).toHaveLength(1);
  });
});

describe('a script', () => {
  test.each([
    [['sleep', '5'], { runMs: 5000, exitCode: 0 }],
    [['sh', '-c', 'sleep 2; exit 7'], { runMs: 2000, exitCode: 7 }],
    [['/bin/sh', '-c', 'exec sleep 1 && false'], { runMs: 1000, exitCode: 1 }],
    [['/bin/true'], { runMs: 0, exitCode: 0 }],
    [['nginx', '-g', 'daemon off;'], { exitCode: 0 }],
  ])('follows the command %j', (command, expected) => {
    const { runMs, exitCode } = readScript([], command);
    expect(runMs === undefined ? { exitCode } : { runMs, exitCode }).toEqual(expected);
  });

  test('prefers what the variable says', () => {
    expect(readScript(['WHARF_SIMULATE=exit=4'], ['sleep', '9'])).toMatchObject({ runMs: 0, exitCode: 4 });
    expect(() => readScript(['WHARF_SIMULATE=run=soon'], [])).toThrow('a time such as');
  });
});
