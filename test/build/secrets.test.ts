/** Secrets of builds: where they are while a build runs, and that they are nowhere else, then or later. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type BuildEvent, BuildSecrets, createBuilds } from '../../lib/build/index.js';
import { Redaction } from '../../lib/build/redaction.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { requireTools } from '../host-tools.js';
import { BuilderHost, SMALL_MEMORY } from './builder-host.js';
import { buildFixture, type BuildFixture, type Built, failure } from './fixture.js';

describe('redaction', () => {
  const of = (...values: readonly string[]): Redaction =>
    new Redaction(new Map(values.map((value, i) => [String(i), Buffer.from(value)])));

  test('finds a secret however the output is cut', () => {
    const redaction = of('hunter2-abc', 'abcdef', 'line one is long\nline two is long');
    const text = 'x hunter2-abc y abcdef z line two is long abc hunter2-abcdef hunter2';
    const clean = 'x *** y *** z *** abc ***def hunter2';
    for (let size = 1; size <= text.length; size++) {
      const stream = redaction.stream();
      let out = '';
      for (let at = 0; at < text.length; at += size) out += stream.write(text.slice(at, at + size));
      expect(out + stream.end()).toBe(clean);
    }
  });

  test('also finds it in base64, in a URL and as JSON, and leaves short values alone', () => {
    const value = 'p&ss "w"';
    const forms = [Buffer.from(value).toString('base64'), encodeURIComponent(value), JSON.stringify(value)];
    expect(of(`${value}\n`).text(forms.join(' '))).toBe('*** *** "***"');
    expect(of('ab').text('abab')).toBe('abab');
  });
});

describe('the secrets of builds', () => {
  let f: BuildFixture;
  beforeAll(async () => {
    f = await buildFixture();
  });
  afterAll(() => f.close());

  test('are kept by build, whatever their names, and go with it', async () => {
    const secrets = new RecordsSecretStore(f.store.records, { key: Buffer.alloc(32, 1) });
    const kept = new BuildSecrets(secrets);
    const values = new Map([
      ['a/../b ü', Buffer.from([0, 255, 10])],
      ['npm', Buffer.from('x')],
    ]);
    await kept.put('01A', values);
    await kept.put('01AB', new Map([['npm', Buffer.from('y')]]));
    expect(new Map([...(await kept.get('01A'))].map(([id, value]) => [id, Buffer.from(value)]))).toEqual(values);
    await kept.delete('01A');
    expect([(await kept.get('01A')).size, await kept.builds()]).toEqual([0, ['01AB']]);
    expect((await failure(kept.put('x', new Map([['big', Buffer.alloc(50_000)]])))).code).toBe(
      'BUILD_SECRET_TOO_LARGE',
    );
    await kept.delete('01AB');
  });

  test('are refused where there is no place for them, and swept when their build is over', async () => {
    const { records, content, clock, ids } = f.store;
    const context = await f.context({ Dockerfile: 'FROM scratch' });
    const given = new Map([['s', Buffer.from('value')]]);
    const refused = f.builds.submit({ context, tags: [] }, { secrets: given });
    expect((await failure(refused)).code).toBe('BUILD_UNSUPPORTED_SECRETS');
    const secrets = new RecordsSecretStore(records, { key: Buffer.alloc(32, 1) });
    const kept = new BuildSecrets(secrets);
    const builds = createBuilds({ records, content, queue: f.queue, clock, ids, secrets });
    const build = await builds.submit({ context, tags: [] }, { secrets: given });
    expect(await kept.builds()).toEqual([build.id]);
    await builds.sweepSecrets();
    expect(await kept.builds()).toEqual([build.id]);
    await builds.cancel(build.id);
    expect(await kept.builds()).toEqual([]);
    // As after a crash between the end of a build and the removal; and of a build that was never recorded.
    await kept.put(build.id, given);
    await kept.put('01ARZ3NDEKTSV4RRFFQ69G5FAV', given);
    await kept.put(ids.ulid(), given);
    await builds.sweepSecrets();
    expect(await kept.builds()).toHaveLength(1);
  });
});

requireTools('root', 'runc', 'flock').describe('RUN with secrets', () => {
  let f: BuildFixture;
  let host: BuilderHost;

  beforeAll(async () => {
    host = await BuilderHost.open();
    f = await host.builder({ sandbox: SMALL_MEMORY, runTimeoutMs: 20_000 });
  });
  afterAll(() => host.close());

  const run = (line: string, secrets: Readonly<Record<string, string>> = {}, request = {}): Promise<Built> =>
    f.build({ Dockerfile: `FROM busybox\n${line}` }, request, undefined, new Map(Object.entries(secrets)));
  const output = ({ events }: { readonly events: readonly BuildEvent[] }): string =>
    events.map((event) => (event.type === 'step-output' ? event.text : '')).join('');

  test('gives them as files and variables, with mode and owner, in memory', async () => {
    const built = await run(
      `RUN --network=none --mount=type=secret,id=tok --mount=type=secret,id=tok,target=/t,mode=0440,uid=7,gid=8 \\
    --mount=type=secret,id=tok,env=TOK wc -c < /run/secrets/tok; stat -c '%a %u:%g' /run/secrets/tok /t; echo \${#TOK}; \\
    grep -c ' /t tmpfs' /proc/mounts; ( : > /t ) 2>/dev/null || echo readonly; test "$(cat /t)" = "$TOK" && echo same`,
      { tok: 's3cr3t-value' },
    );
    expect(output(built)).toBe('12\n400 0:0\n440 7:8\n12\n1\nreadonly\nsame\n');
    const [layer] = built.result.layers.slice(-1);
    expect((await f.layer(layer?.digest ?? ('' as never))).map(({ path }) => path)).toEqual([]);
  });

  test('takes them out of what the command says, and out of its error', async () => {
    const line =
      'RUN --network=none --mount=type=secret,id=tok,env=TOK echo "tok=$TOK"; printf "%s" "$TOK" >&2; exit 3';
    const events: BuildEvent[] = [];
    const context = await f.context({ Dockerfile: `FROM busybox\n${line}` });
    const secrets = new Map([['tok', Buffer.from('s3cr3t-value')]]);
    const signal = new AbortController().signal;
    const call = { id: 'x', emit: (event: BuildEvent) => void events.push(event), signal, secrets };
    const error = await failure(f.builder.build({ context, tags: [] }, call));
    expect(error.message).toMatch(/exit code 3: \*\*\*$/);
    expect(JSON.stringify([events, error.message, error.details])).not.toContain('s3cr3t');
    expect(output({ events })).toContain('tok=***');
  });

  test('does without one that is not given, and fails at the line when it is required', async () => {
    const built = await run(
      'RUN --network=none --mount=type=secret,id=no,env=NO ls /run/secrets 2>/dev/null; echo "[$NO]"',
    );
    expect(output(built)).toBe('[]\n');
    const error = await failure(run('RUN --mount=type=secret,id=no,required true'));
    expect([error.code, error.details?.['line']]).toEqual(['BUILD_SECRET_MISSING', 2]);
  });

  test('has the id in the key, and never the value', async () => {
    const line = (id: string): string => `RUN --network=none --mount=type=secret,id=${id} : > /made`;
    await run(line('one'), { one: 'first-value', two: 'x-value' });
    expect((await run(line('one'), { one: 'second-value' })).result.stepsCached).toBe(1);
    expect((await run(line('two'), { two: 'x-value' })).result.stepsCached).toBe(0);
  });

  test('starts a cache from a stage, once, and lets one after the other into a locked one', async () => {
    const file = (n: number): string => `FROM busybox AS seed
RUN --network=none mkdir -m 700 /seed && echo seeded > /seed/n
FROM busybox
RUN --network=none --mount=type=cache,target=/c,id=l,sharing=locked,from=seed,source=/seed \\
    stat -c %a /c; cat /c/n; echo run-${n} >> /c/n`;
    const first = await f.build({ Dockerfile: file(1) });
    const second = await f.build({ Dockerfile: file(2) });
    expect([output(first), output(second)]).toEqual(['700\nseeded\n', '700\nseeded\nrun-1\n']);
    const locked = (n: number): string =>
      `FROM busybox AS s${n}\nRUN --network=none --mount=type=cache,target=/c,sharing=locked ` +
      `test ! -e /c/busy || exit 9; : > /c/busy; sleep 0.2; rm /c/busy; echo ${n} > /n`;
    const copies = [0, 1].map((n) => `COPY --from=s${n} /n /n${n}`);
    await f.build({ Dockerfile: [locked(0), locked(1), 'FROM scratch', ...copies].join('\n') });
  });
});
