/** RUN for real: overlayfs, runc, a network namespace, on a base image made of the machine's own busybox. */
import { existsSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { BuildEvent } from '../../lib/build/index.js';
import { OverlaySandbox } from '../../lib/build/sandbox/sandbox-overlay.js';
import { layerName, UnpackedLayers } from '../../lib/layers/index.js';
import type { Digest } from '../../lib/oci/index.js';
import { type HostScope, mountOverlay, Runc } from '../../lib/runtime/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { requireTools } from '../host-tools.js';
import { BuilderHost, SMALL_MEMORY } from './builder-host.js';
import { BASE_TIME, type BuildFixture, type Built, busyboxFiles, failure, type Files, textOf } from './fixture.js';

requireTools('root', 'runc', 'bridge').describe('RUN on this machine', () => {
  let f: BuildFixture;
  let host: BuilderHost;
  let directory: string;
  let scope: HostScope;

  beforeAll(async () => {
    host = await BuilderHost.open();
    ({ directory, scope } = host);
    f = await host.builder({ sandbox: SMALL_MEMORY, hasNetwork: true });
  });
  afterAll(() => host.close());

  const run = (lines: string, more: Files = {}, request = {}): Promise<Built> =>
    f.build({ Dockerfile: `FROM busybox\n${lines}`, ...more }, request);
  const lastLayer = async ({ result }: Built): Promise<string[]> => {
    const digest = result.layers.at(-1)?.digest;
    if (digest === undefined) return [];
    return (await f.layer(digest)).map(
      (e) => `${e.path} ${e.type} ${e.mode} ${e.owner}${e.link === undefined ? '' : ` -> ${e.link}`}`,
    );
  };
  const output = ({ events }: { readonly events: readonly BuildEvent[] }): string =>
    events.map((event) => (event.type === 'step-output' ? event.text : '')).join('');
  const leftovers = async (): Promise<string[]> => [
    ...(await readdir(join(scope.directory, 'builds'))),
    ...(await readFile('/proc/self/mountinfo', 'utf8'))
      .split('\n')
      .filter((line) => line.includes(`${scope.directory}/builds`)),
  ];

  test('makes a layer of what changed, and of nothing else', async () => {
    const built = await run(
      `RUN echo web:x:7:7::/:/bin/sh >> /etc/passwd && mkdir -p /srv/www && echo hi > /srv/www/index.html && ln /srv/www/index.html /srv/b && \\
    rm /bin/tail && chmod 4755 /bin/busybox && mknod /srv/pipe p && ln -s ../srv /tmp/s`,
    );
    expect(await lastLayer(built)).toEqual([
      'bin directory 755 0:0',
      'bin/busybox file 4755 0:0',
      'bin/.wh.tail file 0 0:0',
      'etc directory 755 0:0',
      'etc/passwd file 644 0:0',
      'srv directory 755 0:0',
      'srv/b file 644 0:0',
      'srv/pipe fifo 644 0:0',
      'srv/www directory 755 0:0',
      'srv/www/index.html hardlink 644 0:0 -> srv/b',
      'tmp directory 1777 0:0',
      'tmp/s symlink 777 0:0 -> ../srv',
    ]);
    const tree = await f.tree(built.result.digest);
    expect(tree.lookup('/bin/tail')).toBeUndefined();
    expect(await textOf(tree, '/etc/passwd')).toMatch(/^web:/m);
    expect(await leftovers()).toEqual([]);
  });

  test('what it changed stands unpacked for the next command, and shows it what the layer does', async () => {
    const layers = join(scope.directory, 'layers-0');
    const [boot = ''] = await readdir(layers);
    const folder = (diffId = ''): string => join(layers, boot, layerName(diffId as Digest));
    const diffIds = async ({ result }: Built): Promise<readonly Digest[]> =>
      (await f.config(result.imageId)).rootfs.diff_ids;
    const first =
      'RUN mkdir -p /k/sub && echo 1 > /k/f && ln /k/f /k/g && ln -s f /k/l && touch -d @5 /k/old && rm /bin/tail && chmod 700 /etc';
    const look = 'RUN stat -c "%n %F %a %u %g %h %Y" /k /k/* /bin /bin/tail > /seen 2>&1 || stat -c %a /etc >> /seen';
    const kept = await diffIds(await run(`${first}\n${look}`));
    expect(existsSync(join(folder(kept[1]), 'k/f'))).toBe(true);
    await rm(folder(kept[1]), { recursive: true });
    // The same command by another name: what it stands on is unpacked from the layer this time.
    expect(await diffIds(await run(`${first}\n${look} # once more`))).toEqual(kept);
    const others = await diffIds(await run('RUN echo star > /x', {}, { compression: { type: 'estargz' } }));
    expect(existsSync(folder(others.at(-1)))).toBe(false);
  });

  test('gives the same layer on another day: what the command writes is dated by what was there before', async () => {
    const lines = 'COPY a /a\nRUN echo same > /x && touch -d "2001-02-03 04:05:06" /old';
    const first = await run(lines, { a: { content: 'dated', mtime: BASE_TIME + 100 } });
    const again = await run(lines, { a: { content: 'dated', mtime: BASE_TIME + 100 } }, { noCache: true });
    expect(again.result.digest).toBe(first.result.digest);
    const entries = await f.layer(first.result.layers.at(-1)?.digest ?? ('' as never));
    expect(entries.map((e) => [e.path, e.mtime])).toEqual([
      ['old', Date.UTC(2001, 1, 3, 4, 5, 6) / 1000],
      ['x', BASE_TIME + 100],
    ]);
  });

  test('has the environment, the user and the folder of its place in the file', async () => {
    const built = await run(
      'ARG V=1\nENV E="a b"\nWORKDIR /w\nUSER app\nRUN echo "$V|$E|$(id -u):$(id -g)|$(pwd)|$HOME|$(hostname)"',
    );
    expect(output(built)).toBe('1|a b|1000:1000|/w|/home/app|build\n');
  });

  test('runs exec form, heredocs, and scripts with their own interpreter', async () => {
    const built = await run(
      'RUN ["/bin/echo", "$HOME"]\nRUN <<EOF\necho one\necho two\nEOF\nRUN <<EOF\n#!/bin/cat\nthree\nEOF\nRUN cat <<A - <<B\nfour\nA\nfive\nB',
    );
    expect(output(built)).toBe('$HOME\none\ntwo\n#!/bin/cat\nthree\nfive\n');
  });

  test('fails with its exit code and last lines, at its line', async () => {
    const error = await failure(run('RUN true\nRUN echo before; echo it broke >&2; exit 7'));
    expect(error.code).toBe('BUILD_RUN_FAILED');
    expect(error.message).toBe(
      'Dockerfile:3:1: RUN echo before; echo it broke >&2; exit 7 failed with exit code 7: it broke',
    );
    expect(error.details).toMatchObject({ line: 3, exitCode: 7 });
    expect(error.details?.['output']).toEqual(expect.arrayContaining(['before', 'it broke']));
    expect(await leftovers()).toEqual([]);
  });

  test('says so when the program is not there, or memory runs out', async () => {
    const missing = await failure(run('RUN ["/no/such"]'));
    expect([missing.code, missing.details?.['line']]).toEqual(['BUILD_RUN_FAILED', 2]);
    expect(missing.message).toMatch(/could not be started.*no such file/s);
    const big = await failure(run('RUN dd if=/dev/zero of=/dev/null bs=200M count=1'));
    expect([big.code, big.hint]).toEqual(['BUILD_RUN_FAILED', 'give builds more memory, or let the command use less']);
    expect(big.message).toMatch(/ran out of memory \(exit code 137\)/);
  });

  test('sees no path of the host, no other process and no network it was not given', async () => {
    const built = await run(
      'RUN cat /proc/mounts /proc/self/mountinfo; ls /proc | grep -c "^[0-9]"; ls /sys/class/net',
    );
    expect(output(built)).not.toContain(directory);
    expect(output(built)).not.toContain(scope.directory);
    const none = await run('RUN --network=none ip addr | grep -c eth0 || true');
    expect(output(none)).toBe('0\n');
  });

  test('reaches the outside through its own namespace', async () => {
    const server = createServer((_, response) => response.end('from outside'));
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    try {
      const built = await run(
        `RUN wget -q -O - "http://$(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p'):${port}/"`,
      );
      expect(output(built)).toBe('from outside');
    } finally {
      server.close();
    }
  });

  test('leaves no resolver file, folder of a mount or other trace in the layer, but the mount points that every root has', async () => {
    await f.push('bare', {
      'bin/': {},
      'bin/busybox': (await busyboxFiles())['bin/busybox'] ?? '',
      'bin/sh': { symlink: 'busybox' },
    });
    const { result } = await f.build({ Dockerfile: 'FROM bare\nRUN --mount=type=tmpfs,target=/scratch : > /only' });
    const entries = await f.layer(result.layers.at(-1)?.digest ?? ('' as never));
    expect(entries.map((e) => e.path)).toEqual(['dev', 'only', 'proc', 'sys']);
  });

  test('mounts caches that outlive the build, tmpfs, and files of context and stages', async () => {
    const lines = `COPY a /given
RUN --mount=type=cache,target=/c,uid=1000,mode=700 cat /c/n 2>/dev/null; stat -c '%u %a' /c; echo kept > /c/n
FROM busybox
RUN --mount=type=bind,target=/ctx --mount=type=bind,from=one,source=/given,target=/f \\
    --mount=type=tmpfs,target=/t cat /ctx/a /f; touch /ctx/x 2>/dev/null || echo readonly; grep -c " /t tmpfs" /proc/mounts
RUN --mount=type=bind,target=/ctx,rw echo y > /ctx/new && cat /ctx/new`;
    const files = { a: 'A\n' };
    const build = (extra: string, request = {}): Promise<Built> =>
      f.build({ Dockerfile: `FROM busybox AS one\n${lines}${extra}`, ...files }, request);
    const first = await build('');
    expect(output(first)).toBe('1000 700\nA\nA\nreadonly\n1\ny\n');
    const second = await build('\nCOPY --from=one /given /', { noCache: true });
    expect(output(second)).toContain('kept\n1000 700\n');
    expect(await lastLayer(first)).toEqual([]);
  });

  test('is stopped when the build is, and leaves nothing', async () => {
    const stop = new AbortController();
    const events: BuildEvent[] = [];
    const emit = (event: BuildEvent): void => {
      events.push(event);
      if (event.type === 'step-output') stop.abort(new Error('enough'));
    };
    const context = await f.context({ Dockerfile: 'FROM busybox\nRUN echo begun; sleep 1000' });
    const build = f.builder.build({ context, tags: [] }, { id: 'x', emit, signal: stop.signal });
    await expect(build).rejects.toThrow('enough');
    expect(await leftovers()).toEqual([]);
  });

  test('clears away at its start what a killed builder left', async () => {
    const left = join(scope.directory, 'builds', 'build-dead');
    await mountOverlay({ directory: left, lowers: [], upper: 'upper', target: 'rootfs' });
    const runc = await Runc.open({ scope, clock: systemClock });
    const layers = await UnpackedLayers.open({ content: f.store.content }, join(directory, 'other-layers'));
    await OverlaySandbox.open({ scope, runc, layers });
    expect(await leftovers()).toEqual([]);
  });

  test('runs independent stages side by side', async () => {
    // Each waits for the other's file: one after the other would never end.
    const wait = (own: string, other: string): string =>
      `RUN --mount=type=cache,target=/c,id=meet touch /c/${own}; i=0; while [ $i -lt 200 ]; do test -e /c/${other} && exit 0; sleep 0.1; i=$((i+1)); done; exit 1`;
    const built = await f.build({
      Dockerfile: `FROM busybox AS a\n${wait('a', 'b')}\nFROM busybox AS b\n${wait('b', 'a')}\nFROM busybox\nCOPY --from=a /tmp /x\nCOPY --from=b /tmp /y`,
    });
    expect(built.result.steps.map((step) => step.name)).toEqual([
      '[a 1/1]',
      '[b 1/1]',
      '[stage-2 1/2]',
      '[stage-2 2/2]',
    ]);
  });

  test('builds the example twice: all cached, then one changed file makes exactly one new layer', async () => {
    const read = (name: string): Promise<string> => readFile(join('examples/hello', name), 'utf8');
    const names = await readdir('examples/hello', { recursive: true, withFileTypes: true });
    const files: Record<string, string> = {};
    for (const entry of names) {
      if (!entry.isFile()) continue;
      const name = join(entry.path, entry.name).slice('examples/hello/'.length);
      files[name] = await read(name);
    }
    const request = { args: { BASE: 'busybox' } };
    const first = await f.build(files, request);
    expect(first.result.stepsCached).toBe(0);
    const second = await f.build(files, request);
    expect(second.result.steps.every((step) => step.cached)).toBe(true);
    expect(second.result.digest).toBe(first.result.digest);
    const third = await f.build({ ...files, 'release.txt': 'release 2\n' }, request);
    const known = new Set(first.result.layers.map(({ digest }) => digest));
    expect(third.result.layers.filter(({ digest }) => !known.has(digest))).toHaveLength(1);
    expect(third.result.steps.filter((step) => !step.cached).map((step) => step.reason)).toEqual([
      'release.txt: content changed',
    ]);
  });
});
