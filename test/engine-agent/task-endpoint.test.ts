/** The task metadata and credentials endpoint, asked from inside real containers in each kind of network. */
import { expect, test } from '@jest/globals';
import type { TaskPayload } from '../../lib/engine/agent/index.js';
import { mustRun, netnsName } from '../../lib/runtime/index.js';
import { requireTools } from '../host-tools.js';
import { isContainer, isStopped, payloadOf, script } from './agent-host.js';
import { AgentSuite, describeAgent } from './agent-suite.js';

const ROLE = 'arn:aws:iam::000000000000:role/app';
const KEYS = { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'secret-of-app', sessionToken: 'token-of-app' };
const get = (path: string): string => `wget -q -O - $ECS_CONTAINER_METADATA_URI_V4${path}; echo`;
const json = (line: string | undefined): unknown => JSON.parse(line ?? '') as unknown;

describeAgent('the endpoint of a task', () => {
  const suite = new AgentSuite(() => ({
    credentials: { has: async (role) => role === ROLE, find: async (role) => (role === ROLE ? KEYS : undefined) },
  }));
  const facts: Partial<TaskPayload> = {
    clusterArn: 'arn:aws:ecs:local:000000000000:cluster/default',
    serviceName: 'shop',
    group: 'service:shop',
    availabilityZone: 'local-1a',
    limits: { cpuUnits: 512, memoryBytes: 256 << 20 },
  };

  test('tells a container about itself and its task, as the ECS agent does', async () => {
    const payload = payloadOf(
      {
        app: script(`${get('')}; ${get('/task')}`, {
          arn: 'arn:aws:ecs:local:000000000000:container/default/1/2',
          labels: { team: 'shop' },
          cpuUnits: 128,
          memoryBytes: 64 << 20,
          dependsOn: [{ containerName: 'side', condition: 'START' }],
        }),
        side: script('sleep 1000', { essential: false, stopTimeoutSeconds: 0 }),
      },
      { networkMode: 'bridge', ...facts },
    );
    const [own, task] = await suite.output(payload);
    const { address } = await suite.host.event(isContainer(payload.taskId, 'app', 'RUNNING'));
    const container = {
      DockerId: expect.stringMatching(/^[0-9a-f]{32}-\d{10}$/),
      Name: 'app',
      DockerName: `ecs-test-1-app-${payload.taskId.slice(0, 20)}`,
      Image: 'busybox:1',
      ImageID: expect.stringMatching(/^sha256:/),
      Labels: {
        team: 'shop',
        'com.amazonaws.ecs.cluster': facts.clusterArn,
        'com.amazonaws.ecs.container-name': 'app',
        'com.amazonaws.ecs.task-arn': payload.taskArn,
        'com.amazonaws.ecs.task-definition-family': 'test',
        'com.amazonaws.ecs.task-definition-version': '1',
      },
      DesiredStatus: 'RUNNING',
      KnownStatus: expect.stringMatching(/^(CREATED|RUNNING)$/),
      Limits: { CPU: 128, Memory: 64 },
      CreatedAt: expect.stringMatching(/Z$/),
      Type: 'NORMAL',
      Volumes: [],
      LogDriver: 'json-file',
      ContainerARN: 'arn:aws:ecs:local:000000000000:container/default/1/2',
      Networks: [{ NetworkMode: 'bridge', IPv4Addresses: [address] }],
    };
    expect(json(own)).toMatchObject(container);
    expect(json(task)).toMatchObject({
      Cluster: facts.clusterArn,
      TaskARN: payload.taskArn,
      Family: 'test',
      Revision: '1',
      DesiredStatus: 'RUNNING',
      Limits: { CPU: 0.5, Memory: 256 },
      PullStartedAt: expect.stringMatching(/Z$/),
      PullStoppedAt: expect.stringMatching(/Z$/),
      AvailabilityZone: 'local-1a',
      LaunchType: 'EC2',
      ServiceName: 'shop',
      Group: 'service:shop',
      Containers: [container, { Name: 'side', KnownStatus: 'RUNNING' }],
    });
  });

  test('tells what is used, in the shape of Docker’s statistics', async () => {
    const [own, all] = await suite.output(
      payloadOf(
        { app: script(`${get('/stats')}; ${get('/task/stats')}`, { memoryBytes: 64 << 20 }) },
        { networkMode: 'awsvpc' },
      ),
    );
    const stats = {
      name: '/app',
      memory_stats: { limit: 64 << 20, usage: expect.any(Number) },
      cpu_stats: { cpu_usage: { total_usage: expect.any(Number) }, online_cpus: expect.any(Number) },
      precpu_stats: { cpu_usage: { total_usage: expect.any(Number) } },
      pids_stats: { current: expect.any(Number) },
      networks: { eth0: { rx_bytes: expect.any(Number) } },
      network_rate_stats: { rx_bytes_per_sec: expect.any(Number) },
    };
    expect(json(own)).toMatchObject(stats);
    const { cpu_stats: cpu, memory_stats: memory } = json(own) as {
      cpu_stats: { cpu_usage: { total_usage: number } };
      memory_stats: { usage: number };
    };
    expect(Math.min(cpu.cpu_usage.total_usage, memory.usage)).toBeGreaterThan(0);
    expect(Object.values(json(all) as object)).toEqual([expect.objectContaining({ name: '/app' })]);
  });

  test.each(['bridge', 'awsvpc', 'host'] as const)(
    'is reached in a %s network, with credentials',
    async (networkMode) => {
      const lines = await suite.output(
        payloadOf(
          {
            app: script(
              `wget -q -O - $ECS_CONTAINER_METADATA_URI_V4/task; echo
             wget -q -O - \${AWS_CONTAINER_CREDENTIALS_FULL_URI:-http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI}; echo
             echo $AWS_EXECUTION_ENV $AWS_REGION $AWS_DEFAULT_REGION`,
            ),
          },
          { networkMode, taskRoleArn: ROLE },
        ),
      );
      expect(json(lines[0])).toMatchObject({ Family: 'test' });
      expect(json(lines[1])).toEqual({
        RoleArn: ROLE,
        AccessKeyId: KEYS.accessKeyId,
        SecretAccessKey: KEYS.secretAccessKey,
        Token: KEYS.sessionToken,
        Expiration: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      });
      expect(lines[2]).toBe('AWS_ECS_EC2 local local');
    },
  );

  test('names no credentials for a role nobody has configured, and leaves a chosen region alone', async () => {
    const lines = await suite.output(
      payloadOf(
        {
          app: script('env | grep -E "^(AWS|ECS)" | cut -d= -f1 | sort; echo $AWS_REGION', {
            environment: ['AWS_REGION=eu-north-1', 'ECS_AGENT_URI=http://elsewhere'],
          }),
        },
        { networkMode: 'bridge', taskRoleArn: 'arn:aws:iam::000000000000:role/unknown' },
      ),
    );
    expect(lines).toEqual([
      ...['AWS_EXECUTION_ENV', 'AWS_REGION', 'ECS_AGENT_URI', 'ECS_CONTAINER_METADATA_URI_V4'].sort(),
      'eu-north-1',
    ]);
    const cutOff = await suite.output(payloadOf({ app: script('env | grep -c ^ECS_; true') }, { networkMode: 'none' }));
    expect(cutOff).toEqual(['0']);
  });

  test('answers nobody who knows the address but asks from elsewhere', async () => {
    const first = suite.start(
      payloadOf(
        { app: script('echo $ECS_CONTAINER_METADATA_URI_V4; sleep 1000', { stopTimeoutSeconds: 0 }) },
        { networkMode: 'bridge', taskRoleArn: ROLE },
      ),
    );
    const uri = await suite.firstLine(first);
    const status = 'wget -S -q -O - $URI 2>&1 | grep "^ *HTTP/"';
    const tried = payloadOf(
      {
        app: script(
          `${status}; URI=$URI/task; ${status}; wget -q -O /dev/null $ECS_CONTAINER_METADATA_URI_V4 && echo own`,
          { environment: [`URI=${uri}`] },
        ),
      },
      { networkMode: 'bridge' },
    );
    const lines = await suite.output(tried);
    expect(lines.map((line) => line.trim())).toEqual(['HTTP/1.1 404 Not Found', 'HTTP/1.1 404 Not Found', 'own']);
    await suite.stop(first);
  });

  test('protects a task, and tells its tags, by asking the scheduler', async () => {
    const asked: [string, object][] = [];
    const call = async (operation: string, input: object): Promise<object> => {
      asked.push([operation, input]);
      if (operation === 'ListTagsForResource') return { tags: [{ key: 'team', value: 'shop' }] };
      return {
        protectedTasks: [{ taskArn: 'arn', protectionEnabled: true, expirationDate: 1_700_000_000 }],
        failures: [],
      };
    };
    suite.host.agent.connect?.({ call, lookUp: async () => undefined });
    const put =
      'printf "PUT %s/task-protection/v1/state HTTP/1.0\\r\\nContent-Length: 51\\r\\n\\r\\n{\\"ProtectionEnabled\\": true, \\"ExpiresInMinutes\\": 60}\\n" "${ECS_AGENT_URI#http://169.254.170.2}" | nc 169.254.170.2 80 | tail -n 1; echo';
    const payload = payloadOf({ app: script(`${put}; ${get('/taskWithTags')}`) }, { networkMode: 'bridge' });
    const [protection, task] = await suite.output(payload);
    expect(json(protection)).toEqual({
      protection: { ExpirationDate: '2023-11-14T22:13:20.000Z', ProtectionEnabled: true, TaskArn: 'arn' },
    });
    expect(json(task)).toMatchObject({ TaskARN: payload.taskArn, TaskTags: { team: 'shop' } });
    expect(asked[0]).toEqual([
      'UpdateTaskProtection',
      { cluster: 'default', tasks: [payload.taskArn], protectionEnabled: true, expiresInMinutes: 60 },
    ]);
  });

  test('keeps its address over a restart of the agent', async () => {
    const ask = 'while ! test -e /go; do sleep 0.05; done; wget -q -O - $ECS_CONTAINER_METADATA_URI_V4/task';
    const payload = payloadOf({ app: script(ask) }, { networkMode: 'awsvpc' });
    suite.start(payload);
    await suite.host.event(isContainer(payload.taskId, 'app', 'RUNNING'));
    await suite.reopen();
    suite.start(payload);
    await suite.host.event(isContainer(payload.taskId, 'app', 'RUNNING'));
    const id = (await suite.host.containers.list()).find((one) => one.startsWith(payload.taskId)) ?? '';
    await suite.host.containers.exec(id, ['/bin/touch', '/go'], { timeoutMs: 5000 });
    await suite.host.event(isStopped(payload.taskId));
    expect(json((await suite.logOf(payload.taskId))[0])).toMatchObject({ TaskARN: payload.taskArn });
  });
});

requireTools('root', 'runc', 'conmon', 'ip', 'iptables', 'bridge', 'busybox', 'aws').describe(
  'in the network of a container',
  () => {
    const suite = new AgentSuite(() => ({ credentials: { has: async () => true, find: async () => KEYS } }));

    test('the unmodified AWS CLI and the SDK find the credentials of the task’s role', async () => {
      const payload = payloadOf(
        { app: script('echo $AWS_CONTAINER_CREDENTIALS_RELATIVE_URI; sleep 1000', { stopTimeoutSeconds: 0 }) },
        { networkMode: 'bridge', taskRoleArn: ROLE },
      );
      const taskId = suite.start(payload);
      const uri = await suite.firstLine(taskId);
      expect(uri).toMatch(/^\/v2\/credentials\/[0-9a-f-]{36}$/);
      const [id = ''] = await suite.host.containers.list();
      const inside = async (...command: string[]): Promise<string> => {
        const path = process.env['PATH'] ?? '';
        const alone = { PATH: path, HOME: '/nowhere', AWS_EC2_METADATA_DISABLED: 'true' };
        const env = { ...alone, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: uri };
        const args = ['netns', 'exec', netnsName(suite.host.scope, id), ...command];
        return (await mustRun('ip', args, { env })).stdout;
      };
      // Signed offline, with whatever credentials were found.
      const url = new URL(await inside('aws', 's3', 'presign', 's3://bucket/key', '--region', 'us-east-1'));
      expect(url.search).toContain(KEYS.accessKeyId);
      expect(url.search).toContain(KEYS.sessionToken);
      const sdk = `import { ECSClient } from '@aws-sdk/client-ecs';
        console.log(JSON.stringify(await new ECSClient({ region: 'local' }).config.credentials()));`;
      expect(json(await inside(process.execPath, '--input-type=module', '-e', sdk))).toMatchObject(KEYS);
      await suite.stop(taskId);
    });
  },
);
