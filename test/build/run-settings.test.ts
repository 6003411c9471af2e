/** What RUN is given beside its line: rights, limits, names. Each is seen from inside of a command. */
import { readlinkSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type BuildEvent, type BuildRequest, ENTITLEMENTS } from '../../lib/build/index.js';
import { checkRunSettings, type RunSettings, withinHost } from '../../lib/build/run-settings.js';
import { requireTools } from '../host-tools.js';
import { refusalOf } from '../refusal.js';
import { BuilderHost } from './builder-host.js';
import { type BuildFixture, type Built, failure } from './fixture.js';

const MIB = 1024 * 1024;

describe('settings of RUN', () => {
  test.each<[RunSettings, string]>([
    [{ hosts: { 'a b': '10.0.0.1' } }, 'host a b:10.0.0.1'],
    [{ hosts: { db: 'nowhere' } }, 'host db:nowhere'],
    [{ shmBytes: 0 }, 'shm size 0'],
    [{ ulimits: [{ name: 'files', soft: 1, hard: 1 }] }, 'ulimit files'],
    [{ ulimits: [{ name: 'nofile', soft: 2, hard: 1 }] }, 'ulimit nofile=2:1'],
    [{ limits: { memoryBytes: MIB } }, `memory ${MIB}`],
    [{ limits: { memorySwapBytes: 8 * MIB } }, 'memory-swap without memory'],
    [{ limits: { memoryBytes: 8 * MIB, memorySwapBytes: 7 * MIB } }, `memory-swap ${7 * MIB}`],
    [{ limits: { cpuShares: 1 } }, 'cpu-shares 1'],
    [{ limits: { cpuPeriodUs: 10 } }, 'cpu-period 10'],
    [{ limits: { cpuQuotaUs: 10 } }, 'cpu-quota 10'],
    [{ limits: { cpusetCpus: 'all' } }, 'cpuset "all"'],
  ])('%j are refused', (settings, what) => {
    const refused = refusalOf(() => checkRunSettings(settings));
    expect([refused.code, refused.message]).toEqual(['BUILD_RUN_SETTING_INVALID', `RUN cannot be given ${what}`]);
    expect(refused.hint).toBeDefined();
  });

  test('never go above what the host gives', () => {
    const host = { memoryBytes: 64 * MIB, cpuQuotaUs: 50_000 };
    expect(withinHost({}, host)).toEqual({ memoryBytes: 64 * MIB, cpuQuotaUs: 50_000 });
    expect(withinHost({ memoryBytes: 128 * MIB, memorySwapBytes: -1, cpuQuotaUs: 90_000 }, host)).toEqual(
      withinHost({}, host),
    );
    const less = { memoryBytes: 8 * MIB, memorySwapBytes: 16 * MIB, cpuQuotaUs: 10_000, cpuPeriodUs: 200_000 };
    expect(withinHost(less, host)).toEqual(less);
    expect(withinHost({ memoryBytes: MIB, memorySwapBytes: -1, cpuShares: 2 }, {})).toEqual({
      memoryBytes: MIB,
      memorySwapBytes: -1,
      cpuShares: 2,
    });
  });
});

requireTools('root', 'runc').describe('a RUN', () => {
  let host: BuilderHost;
  let strict: BuildFixture;

  beforeAll(async () => {
    host = await BuilderHost.open();
    strict = await host.builder({ runTimeoutMs: 20_000 });
  });
  afterAll(() => host.close());

  const run = (f: BuildFixture, line: string, request: Partial<BuildRequest> = {}): Promise<Built> =>
    f.build({ Dockerfile: `FROM busybox\n${line}` }, request);
  const output = ({ events }: { readonly events: readonly BuildEvent[] }): string =>
    events.map((event) => (event.type === 'step-output' ? event.text : '')).join('');

  test('has rights beyond the sandbox only where the request says so, and the host', async () => {
    for (const [flag, right] of [
      ['--security=insecure', 'security.insecure'],
      ['--network=host', 'network.host'],
    ] as const) {
      const place = (error: Awaited<ReturnType<typeof failure>>): unknown[] => [
        error.code,
        error.details?.['line'],
        error.details?.['column'],
      ];
      const byRequest = await failure(run(strict, `RUN ${flag} true`));
      expect(place(byRequest)).toEqual(['BUILD_NOT_ENTITLED', 2, 5]);
      expect(byRequest.hint).toContain(`--allow ${right}`);
      const byHost = await failure(run(strict, `RUN ${flag} true`, { allow: [right] }));
      expect(place(byHost)).toEqual([
        right === 'network.host' ? 'BUILD_UNSUPPORTED_RUN_NETWORK' : 'BUILD_UNSUPPORTED_RUN_SECURITY',
        2,
        5,
      ]);
      expect(byHost.hint).toContain('whoever runs this builder can allow');
    }
    // Nothing is run by a check.
    await strict.report({ Dockerfile: 'FROM busybox\nRUN --network=host true' }, { check: true });
  });

  test('runs insecure with all rights, and host on the host network, where they are allowed', async () => {
    const lenient = await host.builder({ runTimeoutMs: 20_000, sandbox: { allow: ENTITLEMENTS } });
    const said = async (flags: string): Promise<string> => {
      const line = `RUN ${flags} sed -n 's/^CapEff:.//p' /proc/self/status; readlink /proc/self/ns/net`;
      return output(await run(lenient, line, { allow: ENTITLEMENTS }));
    };
    const [plain = ''] = (await said('--network=none')).split('\n');
    const [insecure = '', lone] = (await said('--network=none --security=insecure')).split('\n');
    const [, onHost] = (await said('--network=host')).split('\n');
    expect(parseInt(insecure, 16)).toBeGreaterThan(parseInt(plain, 16));
    const ours = readlinkSync('/proc/self/ns/net');
    expect([onHost, lone]).toEqual([ours, expect.not.stringContaining(ours)]);
    const preset = { run: { network: 'host' }, allow: ENTITLEMENTS } as const;
    expect(output(await run(lenient, 'RUN readlink /proc/self/ns/net', preset)).trim()).toBe(ours);
  });

  test('has the network that the request gives it, unless its line names another', async () => {
    // This sandbox has no network but none: with any other the command would not run.
    const none = { run: { network: 'none' } } as const;
    expect(output(await run(strict, 'RUN ls /sys/class/net', none))).toBe('lo\n');
    const refused = await failure(run(strict, 'RUN --network=host true', { ...none, allow: ENTITLEMENTS }));
    expect(refused.code).toBe('BUILD_UNSUPPORTED_RUN_NETWORK');
  });

  test('sees the hosts, the shared memory, the limits of files and the limits of its cgroup', async () => {
    const settings: RunSettings = {
      network: 'none',
      hosts: { 'db.test': '10.9.8.7', six: 'fd00::1' },
      shmBytes: 32 * MIB,
      ulimits: [{ name: 'nofile', soft: 100, hard: 200 }],
      limits: { memoryBytes: 16 * MIB, cpuQuotaUs: 50_000, cpuPeriodUs: 200_000, cpuShares: 64, cpusetCpus: '0' },
    };
    const line = `RUN grep -E 'db.test|six' /etc/hosts | tr '\\t' ' '; df -m /dev/shm | awk 'END { print $2 }'; \\
    ulimit -n; ulimit -Hn; sed -n 's/^Cpus_allowed_list:.//p' /proc/self/status; \\
    head -c 64m /dev/zero | tail -c 60m > /dev/null`;
    const failed = await failure(run(strict, line, { run: settings }));
    expect([failed.code, failed.message]).toEqual(['BUILD_RUN_FAILED', expect.stringContaining('ran out of memory')]);
    const shown = failed.details?.['output'];
    expect(shown).toEqual(expect.arrayContaining(['10.9.8.7 db.test', 'fd00::1 six', '32', '100', '200', '0']));
  });

  test('is not made anew for another limit or address, and is for another ulimit', async () => {
    const line = 'RUN : > /made';
    const cachedSteps = async (settings: RunSettings): Promise<number> =>
      (await run(strict, line, { run: { network: 'none', ...settings } })).result.stepsCached;
    const base = { hosts: { db: '10.0.0.1' } };
    expect(await cachedSteps({ ...base, limits: { memoryBytes: 32 * MIB } })).toBe(0);
    expect(await cachedSteps({ hosts: { db: '10.0.0.2' }, limits: { cpuShares: 10 } })).toBe(1);
    expect(await cachedSteps({ ...base, ulimits: [{ name: 'core', soft: 0, hard: 0 }] })).toBe(0);
    expect(await cachedSteps({ hosts: { other: '10.0.0.1' } })).toBe(0);
  });

  test('ends when its time is over', async () => {
    const impatient = await host.builder({ runTimeoutMs: 1000 });
    const slow = await failure(run(impatient, 'RUN --network=none sleep 1000'));
    expect([slow.code, slow.details?.['line']]).toEqual(['BUILD_RUN_TIMEOUT', 2]);
  });
});
