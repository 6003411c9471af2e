/** The agent's rules that need no host. */
import { createServer } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import {
  containerProcess,
  mergeEnvironment,
  RUNTIME_ID,
  runtimeIdOf,
} from '../../lib/engine/agent/container-process.js';
import { type ContainerStatus, dependencyProblem, dependents, readiness } from '../../lib/engine/agent/dependencies.js';
import { healthCommand, monitorHealth } from '../../lib/engine/agent/health-monitor.js';
import { HostPorts } from '../../lib/engine/agent/host-ports.js';
import { resolveImage } from '../../lib/engine/agent/image-source.js';
import type { HealthStatus } from '../../lib/engine/agent/index.js';
import { Observed } from '../../lib/engine/agent/observed.js';
import { type Digest, digestOf, type ImageConfig, MediaType } from '../../lib/oci/index.js';
import { manualClock } from '../fakes/manual-clock.js';
import { payloadOf } from './agent-host.js';

const CONFIG: ImageConfig = {
  os: 'linux',
  architecture: 'amd64',
  rootfs: { type: 'layers', diff_ids: [] },
  config: { Entrypoint: ['/entry'], Cmd: ['a', 'b'], Env: ['A=1', 'B=2'], WorkingDir: '/srv', User: 'web' },
};
const containerOf = (input: object) => {
  const [container] = payloadOf({ app: input }).containers;
  if (container === undefined) throw new Error('no container');
  return container;
};

describe('what a container runs', () => {
  test.each([
    [{}, ['/entry', 'a', 'b']],
    [{ command: ['c'] }, ['/entry', 'c']],
    [{ entryPoint: ['/own'] }, ['/own']],
    [{ entryPoint: ['/own'], command: ['c'] }, ['/own', 'c']],
    [{ entryPoint: [], command: [] }, ['/entry', 'a', 'b']],
  ])('with %j is %j', (input, args) => {
    expect(containerProcess(containerOf(input), CONFIG, 'host').args).toEqual(args);
  });

  test('has the image’s folder and user unless told otherwise', () => {
    expect(containerProcess(containerOf({}), CONFIG, 'host')).toMatchObject({ cwd: '/srv', user: 'web' });
    const own = containerOf({ workingDirectory: '/own', user: '5' });
    expect(containerProcess(own, CONFIG, 'host')).toMatchObject({ cwd: '/own', user: '5' });
  });

  test('has the environment of image, host name and definition, the later one winning', () => {
    const { env } = containerProcess(containerOf({ environment: ['B=3', 'C='] }), CONFIG, 'host');
    expect(env).toEqual(['A=1', 'B=3', 'HOSTNAME=host', 'C=']);
    expect(mergeEnvironment(['X=a=b'], ['X=c=d'])).toEqual(['X=c=d']);
  });

  test('has the same id on the host every time, and no other container has it', () => {
    const taskId = 'ab'.repeat(16);
    expect(runtimeIdOf(taskId, 'app')).toBe(runtimeIdOf(taskId, 'app'));
    expect(runtimeIdOf(taskId, 'app')).not.toBe(runtimeIdOf(taskId, 'app2'));
    expect(RUNTIME_ID.exec(runtimeIdOf(taskId, 'app'))?.[1]).toBe(taskId);
  });
});

describe('a dependency', () => {
  const pending: ContainerStatus = { phase: 'pending', health: 'UNKNOWN', started: false };
  const running: ContainerStatus = { phase: 'running', health: 'UNKNOWN', started: true };
  const good: ContainerStatus = { phase: 'stopped', health: 'UNKNOWN', started: true, exitCode: 0 };
  const bad: ContainerStatus = { ...good, exitCode: 1 };
  const never: ContainerStatus = { phase: 'stopped', health: 'UNKNOWN', started: false };
  test.each([
    ['START', pending, 'waiting'],
    ['START', running, 'met'],
    ['START', good, 'met'],
    ['START', never, 'impossible'],
    ['COMPLETE', running, 'waiting'],
    ['COMPLETE', bad, 'met'],
    ['COMPLETE', never, 'impossible'],
    ['SUCCESS', good, 'met'],
    ['SUCCESS', bad, 'impossible'],
    ['SUCCESS', never, 'impossible'],
    ['HEALTHY', running, 'waiting'],
    ['HEALTHY', { ...running, health: 'UNHEALTHY' }, 'waiting'],
    ['HEALTHY', { ...running, health: 'HEALTHY' }, 'met'],
    ['HEALTHY', { ...good, health: 'HEALTHY' }, 'impossible'],
  ] as const)('on %s of %j is %s', (condition, status, expected) => {
    expect(readiness(condition, status)).toBe(expected);
  });

  test('on nothing or on itself is a problem', () => {
    const on = (containerName: string) => ({ dependsOn: [{ containerName, condition: 'START' as const }] });
    expect(dependencyProblem(payloadOf({ a: on('b'), b: {} }).containers)).toBeUndefined();
    expect(dependencyProblem(payloadOf({ a: on('ghost') }).containers)).toContain(
      'ghost, which the task does not have',
    );
    expect(dependencyProblem(payloadOf({ a: on('a') }).containers)).toContain('a -> a');
    expect(dependents('b', payloadOf({ a: on('b'), b: {}, c: on('b') }).containers)).toEqual(['a', 'c']);
  });
});

describe('health', () => {
  const CHECK = { command: ['CMD', 'x'], intervalSeconds: 10, timeoutSeconds: 2, retries: 2, startPeriodSeconds: 15 };

  test('is checked by the command, through the image’s shell, or not at all', () => {
    expect(healthCommand({ ...CHECK, command: ['CMD', 'a', 'b'] }, [])).toEqual(['a', 'b']);
    expect(healthCommand({ ...CHECK, command: ['CMD-SHELL', 'a && b'] }, ['/bin/bash', '-c'])).toEqual([
      '/bin/bash',
      '-c',
      'a && b',
    ]);
    expect(healthCommand({ ...CHECK, command: ['NONE'] }, [])).toBeUndefined();
  });

  const watch = (results: boolean[], adopted = false) => {
    const clock = manualClock();
    const stop = new AbortController();
    const reported: HealthStatus[] = [];
    const asked = new Observed(0);
    const probe = {
      run: async (): Promise<boolean> => {
        const result = results[asked.value] ?? false;
        asked.set(asked.value + 1);
        return result;
      },
    };
    const options = { command: ['x'], startedMs: clock.nowMs(), adopted, signal: stop.signal };
    const ended = monitorHealth({ clock, probe }, CHECK, options, (health) => reported.push(health));
    return {
      reported,
      /** Lets the interval pass until so many checks were made. */
      async checks(count: number): Promise<void> {
        while (asked.value < count) {
          await Promise.resolve();
          clock.advance(1000);
          await new Promise((resolve) => setImmediate(resolve));
        }
      },
      async end(): Promise<void> {
        await new Promise((resolve) => setImmediate(resolve));
        stop.abort();
        await ended;
      },
    };
  };

  test('does not count failures within the start period, and counts to the number of retries after it', async () => {
    const monitor = watch([false, false, false]);
    await monitor.checks(2);
    expect(monitor.reported).toEqual([]);
    await monitor.checks(3);
    await monitor.end();
    expect(monitor.reported).toEqual(['UNHEALTHY']);
  });

  test('comes back with one success, and only changes are told', async () => {
    const monitor = watch([true, true, false, false, true]);
    await monitor.checks(5);
    await monitor.end();
    expect(monitor.reported).toEqual(['HEALTHY', 'UNHEALTHY', 'HEALTHY']);
  });

  test('of a container that ran before us is asked for at once', async () => {
    const monitor = watch([true], true);
    await new Promise((resolve) => setImmediate(resolve));
    await monitor.end();
    expect(monitor.reported).toEqual(['HEALTHY']);
  });
});

describe('an image of several platforms', () => {
  const blobs = new Map<Digest, Buffer>();
  const manifests = new Map<string, { digest: Digest; mediaType: string; bytes: Buffer }>();
  const put = (mediaType: string, document: object): { mediaType: string; digest: Digest; size: number } => {
    const bytes = Buffer.from(JSON.stringify(document));
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    manifests.set(digest, { digest, mediaType, bytes });
    return { mediaType, digest, size: bytes.length };
  };
  const imageFor = (architecture: string) => {
    const config = put(MediaType.ociConfig, { os: 'linux', architecture, rootfs: { type: 'layers', diff_ids: [] } });
    const manifest = put(MediaType.ociManifest, {
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config,
      layers: [],
    });
    return { ...manifest, platform: { os: 'linux', architecture } };
  };
  const index = put(MediaType.ociIndex, {
    schemaVersion: 2,
    mediaType: MediaType.ociIndex,
    manifests: [imageFor('arm64'), imageFor('amd64')],
  });
  const deps = {
    content: { read: async (digest: Digest) => blobs.get(digest) },
    images: {
      manifest: async (_: string, reference: { tag: string } | { digest: Digest }) =>
        manifests.get('digest' in reference ? reference.digest : index.digest),
    },
  };
  const options = (architecture: string) => ({
    platform: { os: 'linux', architecture },
    isLocalRegistry: (host: string) => host === 'localhost:5000',
  });

  test.each(['arm64', 'amd64'])('gives %s its own', async (architecture) => {
    const image = await resolveImage(deps, options(architecture), 'localhost:5000/app:1');
    expect(image.config.architecture).toBe(architecture);
    expect(image.digest).toBe(index.digest);
  });

  test('names what it has when it has not what is asked for', async () => {
    await expect(resolveImage(deps, options('riscv64'), 'app:1')).rejects.toMatchObject({
      message:
        'CannotPullContainerError: no matching manifest for linux/riscv64 in the manifest list entries of app:1 ' +
        '(it has linux/arm64, linux/amd64)',
    });
  });
});

describe('host ports', () => {
  test('are chosen from the dynamic range, each once, past those that are in use', async () => {
    const ports = new HostPorts('127.0.0.1', () => 0);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const mapping = { containerPort: 80, protocol: 'tcp' as const };
      const first = await ports.choose('a', [mapping, mapping]);
      const second = await ports.choose('b', [mapping]);
      const chosen = [...first, ...second].map(({ hostPort }) => hostPort);
      expect(new Set(chosen).size).toBe(3);
      expect(chosen.every((port) => port >= 32768 && port <= 60999)).toBe(true);
      const address = server.address();
      const taken = typeof address === 'object' ? (address?.port ?? 0) : 0;
      await expect(ports.choose('c', [{ ...mapping, hostPort: taken }])).rejects.toMatchObject({
        message: `CannotStartContainerError: Bind for 127.0.0.1:${taken} failed: port is already allocated`,
      });
      ports.release('a');
      await expect(ports.choose('d', [mapping])).resolves.toEqual([first[0]]);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
