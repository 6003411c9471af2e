/**
 * `RUN --mount=type=cache` among builds that run at once, on this machine for real. Builds meet in a shared cache: each
 * leaves a file there and waits for the other's, so that both are known to run at the same time.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { requireTools } from '../host-tools.js';
import { BuilderHost } from './builder-host.js';
import { type BuildFixture, type Built, failure } from './fixture.js';

requireTools('root', 'runc').describe('a cache mount', () => {
  let host: BuilderHost;
  /** Two builders on one machine, with stores of their own: what they share is the cache folders. */
  let builders: [BuildFixture, BuildFixture];

  beforeAll(async () => {
    host = await BuilderHost.open();
    builders = [await host.builder(), await host.builder()];
  });
  afterAll(() => host.close());

  const run = (f: BuildFixture, mounts: string, command: string, args = {}): Promise<Built> =>
    f.build({ Dockerfile: `FROM busybox\nRUN --network=none ${mounts} ${command}` }, { args });
  const output = ({ events }: Built): string =>
    events.map((event) => (event.type === 'step-output' ? event.text : '')).join('');
  const both = (command: (own: string, other: string) => string, mounts: string): Promise<[Built, Built]> =>
    Promise.all([run(builders[0], mounts, command('a', 'b')), run(builders[1], mounts, command('b', 'a'))]);
  const meet = (own: string, other: string): string =>
    `: > /meet/${own}; until [ -e /meet/${other} ]; do sleep 0.05; done`;
  const mount = (target: string, id: string, more = ''): string =>
    `--mount=type=cache,target=${target},id=${id}${more}`;

  test('is one folder for all who come at once when it is shared, the first time too', async () => {
    const [a, b] = await both(
      (own, other) =>
        `${meet(own, other)}; echo ${own} > /meet/said-${own}; until [ -s /meet/said-${other} ]; do sleep 0.05; done; cat /meet/said-*`,
      mount('/meet', 'shared'),
    );
    expect([output(a), output(b)]).toEqual(['a\nb\n', 'a\nb\n']);
  });

  test('is another folder for whoever comes while a private one is in use, and all of them are kept', async () => {
    const mounts = `${mount('/meet', 'meet-private')} ${mount('/c', 'private', ',sharing=private')}`;
    const builds = await both((own, other) => `ls /c; echo ${own} > /c/own; ${meet(own, other)}; cat /c/own`, mounts);
    expect(builds.map(output)).toEqual(['a\n', 'b\n']);
    const later = await run(builders[0], mounts, 'cat /c/own');
    expect(['a\n', 'b\n']).toContain(output(later));
  });

  test('is a folder of its own for each owner and mode, so that no user finds one that is not theirs', async () => {
    const look = "stat -c '%u:%g %a' /c; ls /c";
    const first = await run(builders[0], mount('/c', 'owned'), `${look}; : > /c/of-root`);
    const second = await run(builders[0], mount('/c', 'owned', ',uid=1000,gid=50'), `${look}; : > /c/of-app`);
    expect([output(first), output(second)]).toEqual(['0:0 755\n', '1000:50 755\n']);
    const again = [mount('/c', 'owned', ',uid=0,mode=0755'), mount('/c', 'owned', ',gid=50,uid=1000')];
    const kept = await Promise.all(again.map((each) => run(builders[1], each, 'ls /c')));
    expect(kept.map(output)).toEqual(['of-root\n', 'of-app\n']);
  });

  test('lets one in after the other when it is locked', async () => {
    const inside = (own: string): string =>
      `test ! -e /c/busy || exit 9; : > /c/busy; echo in-${own} >> /c/log; sleep 0.2; echo out-${own} >> /c/log; rm /c/busy`;
    await both(inside, mount('/c', 'locked', ',sharing=locked'));
    const log = output(await run(builders[0], mount('/c', 'locked'), 'cat /c/log'))
      .trim()
      .split('\n');
    expect(log).toHaveLength(4);
    expect([log[0]?.replace('in', 'out'), log[2]?.replace('in', 'out')]).toEqual([log[1], log[3]]);
  });

  test('frees a locked one when the command fails, and when its build is stopped while it waits or runs', async () => {
    const mounts = mount('/c', 'freed', ',sharing=locked');
    expect((await failure(run(builders[0], mounts, 'exit 3'))).code).toBe('BUILD_RUN_FAILED');
    const start = (
      f: BuildFixture,
      command: string,
    ): { stop: AbortController; begun: Promise<void>; build: Promise<unknown> } => {
      const stop = new AbortController();
      let tell = (): void => undefined;
      const begun = new Promise<void>((resolve) => (tell = resolve));
      const emit = (event: { type: string }): void => void (event.type === 'step-output' && tell());
      const build = f
        .context({ Dockerfile: `FROM busybox\nRUN --network=none ${mounts} ${command}` })
        .then((context) =>
          f.builder.build({ context, tags: [] }, { id: f.store.ids.ulid(), emit, signal: stop.signal }),
        );
      build.catch(() => undefined);
      return { stop, begun, build };
    };
    const running = start(builders[0], 'echo begun; sleep 1000');
    await running.begun;
    const waiting = start(builders[1], 'echo never');
    waiting.stop.abort(new Error('no longer wanted'));
    await expect(waiting.build).rejects.toThrow('no longer wanted');
    running.stop.abort(new Error('enough'));
    await expect(running.build).rejects.toThrow('enough');
    expect(output(await run(builders[1], mounts, 'echo free'))).toBe('free\n');
  });

  test('is kept for builders that start later, by id and by namespace', async () => {
    const mounts = mount('/c', 'kept');
    await run(builders[0], mounts, 'echo kept > /c/n');
    const later = await host.builder();
    expect(output(await run(later, mounts, 'cat /c/n'))).toBe('kept\n');
    const other = { BUILDKIT_CACHE_MOUNT_NS: 'team' };
    expect(output(await run(later, mounts, 'ls /c; echo team > /c/n', other))).toBe('');
    expect(
      output(await run(builders[0], mounts, 'cat /c/*; hostname', { ...other, BUILDKIT_SANDBOX_HOSTNAME: 'h1' })),
    ).toBe('team\nh1\n');
    expect(output(await run(builders[1], mounts, 'cat /c/n; :'))).toBe('kept\n');
  });

  test('gives a folder of it when there is a source and no from, and follows no link in it', async () => {
    const [f] = builders;
    const id = 'with-folders';
    await run(f, mount('/c', id), 'mkdir -p /c/a/b && echo deep > /c/a/b/x && ln -s / /c/up && ln -s a /c/link');
    const seen = await run(f, mount('/in', id, ',source=/a/b/'), 'cat /in/x && echo more > /in/y');
    expect(output(seen)).toBe('deep\n');
    expect(output(await run(f, mount('/c', id), 'cat /c/a/b/y # again'))).toBe('more\n');
    for (const source of ['up/etc', 'link', 'none', '../other', 'a/b/x']) {
      const error = await failure(run(f, mount('/in', id, `,source=${source}`), 'ls /in'));
      expect([source, error.code]).toEqual([source, 'BUILD_MOUNT_SOURCE_MISSING']);
    }
  });
});
