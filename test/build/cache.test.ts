import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { BuildEvent, Sandbox } from '../../lib/build/index.js';
import { LastSteps } from '../../lib/build/solve/last-steps.js';
import type { TarMember } from '../../lib/layers/index.js';
import { type Digest, digestOf } from '../../lib/oci/index.js';
import { buildFixture, type BuildFixture, type Built, type Files, membersOf } from './fixture.js';

let f: BuildFixture;
/** Commands that ran, in order. */
let ran: string[];
/** What a command leaves, by its last word. */
let outcome: Files;

/** RUN without containers: commands are recorded, and leave the files they are told to. */
const sandbox: Sandbox = {
  async run(request, collect) {
    const command = request.process.args.at(-1) ?? '';
    ran.push(command);
    const members = membersOf({ ...outcome, [`log-${command}`]: command }, request.timeSeconds);
    return { exitCode: 0, value: await collect(streamed(members)) };
  },
};

async function* streamed(members: readonly TarMember[]): AsyncGenerator<TarMember> {
  yield* members;
}

beforeEach(async () => {
  ran = [];
  outcome = { out: 'made' };
  f = await buildFixture({ sandbox: () => Promise.resolve(sandbox) });
  await f.push('base', { 'etc/': {}, 'etc/os': 'x' });
});
afterEach(() => f.close());

const DOCKERFILE = `FROM base AS build
WORKDIR /src
COPY go.mod ./
RUN fetch
COPY . .
RUN compile
FROM base
ARG VERSION=1
LABEL made=by-hand
COPY --from=build /out /app
RUN link $VERSION
`;
const FILES: Files = { Dockerfile: DOCKERFILE, 'go.mod': 'm', 'main.go': 'v1', '.dockerignore': 'Dockerfile' };

const cached = ({ result }: Built): string => result.steps.map((step) => (step.cached ? 'C' : 'x')).join('');
const reasons = ({ result }: Built): (string | undefined)[] => result.steps.map((step) => step.reason);
const changed = (more: Files): Files => ({ ...FILES, ...more });

describe('the step cache', () => {
  test('runs everything once, and nothing the second time', async () => {
    const first = await f.build(FILES);
    expect(cached(first)).toBe('xxxxxxx');
    const second = await f.build(FILES);
    expect(cached(second)).toBe('CCCCCCC');
    expect(second.result.digest).toBe(first.result.digest);
    expect(second.result.stepsCached).toBe(7);
    expect(ran).toEqual(['fetch', 'compile', 'link $VERSION']);
  });

  test('takes no notice of times, comments and labels', async () => {
    await f.build(FILES);
    const Dockerfile = `# a comment\n${DOCKERFILE.replace('by-hand', 'by-machine')}`;
    const again = await f.build(changed({ Dockerfile }), {}, 1_800_000_000);
    expect(cached(again)).toBe('CCCCCCC');
  });

  test('starts again at the first step whose files changed, and says which', async () => {
    await f.build(FILES);
    const again = await f.build(changed({ 'main.go': 'v2' }));
    // The compiler gave the same file again: the second stage has nothing to do.
    expect(cached(again)).toBe('CCCxxCC');
    expect(reasons(again)).toEqual([
      undefined,
      undefined,
      undefined,
      'main.go: content changed',
      'a step before it changed',
      undefined,
      undefined,
    ]);
  });

  test('goes on as far as a producer that gives something else', async () => {
    await f.build(FILES);
    outcome = { out: 'made otherwise' };
    const again = await f.build(changed({ 'main.go': 'v2' }));
    expect(cached(again)).toBe('CCCxxxx');
  });

  test('tells files that are new or gone, and arguments by their values', async () => {
    await f.build(FILES);
    expect(reasons(await f.build(changed({ 'new.go': 'n' })))[3]).toBe('new.go: new');
    expect(reasons(await f.build(FILES, { args: { VERSION: '2' } }))[6]).toBe('variable VERSION: "1" → "2"');
    const reordered = DOCKERFILE.replace('RUN fetch', 'RUN fetch --all');
    expect(reasons(await f.build(changed({ Dockerfile: reordered })))[2]).toBe('the command changed');
  });

  test('names the changed file among any number, and says what is new or gone', async () => {
    const many = Object.fromEntries(Array.from({ length: 2500 }, (_, i) => [`f${String(i).padStart(4, '0')}`, 'x']));
    const files = { Dockerfile: 'FROM base\nCOPY f* /many/', ...many };
    await f.build(files);
    expect(reasons(await f.build({ ...files, f2345: 'y' }))).toEqual(['f2345: content changed']);
    expect(reasons(await f.build({ ...files, f2345: 'y', f2400x: 'x' }))).toEqual(['f2400x: new']);
    const more: Files = { ...files, f2345: 'y', f2400x: 'x' };
    const without = Object.fromEntries(Object.entries(more).filter(([name]) => name !== 'f0007'));
    expect(reasons(await f.build(without))).toEqual(['f0007: gone']);
    expect(reasons(await f.build({ ...without, f9: 'x' }))).toEqual(['f9: new']);
  });

  test('does not run a stage whose consumers all hit, even when its own steps are forgotten', async () => {
    await f.build(FILES);
    ran = [];
    const forget = DOCKERFILE.replace('RUN compile', 'RUN compile\nRUN tidy');
    // The last stage is unchanged in content, so after the producer ran its consumers hit by content.
    await f.build(changed({ Dockerfile: forget }));
    expect(ran).toEqual(['tidy']);
  });

  test('is not asked by a build without cache, but filled by it', async () => {
    const first = await f.build(FILES);
    const again = await f.build(FILES, { noCache: true });
    expect(cached(again)).toBe('xxxxxxx');
    expect(again.result.digest).toBe(first.result.digest);
    expect(cached(await f.build(FILES))).toBe('CCCCCCC');
  });

  test('is not shared between scopes', async () => {
    await f.build(FILES);
    const { ImageBuilder } = await import('../../lib/build/index.js');
    const { records, content, clock, ids } = f.store;
    const other = new ImageBuilder(
      { records, content, images: f.registry, clock, ids, sandbox },
      { platform: { os: 'linux', architecture: 'amd64' }, scope: 'other' },
    );
    const events: BuildEvent[] = [];
    const call = {
      id: 'x',
      emit: (event: BuildEvent) => void events.push(event),
      signal: new AbortController().signal,
    };
    const result = await other.build({ context: await f.context(FILES), tags: [] }, call);
    expect('stepsCached' in result ? result.stepsCached : undefined).toBe(0);
  });

  test('makes a step again when its layer is gone from the store', async () => {
    const first = await f.build(FILES);
    const gone = first.result.steps[6]?.layerDigest ?? '';
    await f.store.records.delete({ partition: `BLOB#${gone}`, sort: '-' });
    expect(cached(await f.build(FILES))).toBe('CCCCCCx');
  });

  test('makes equal steps of builds at the same time once', async () => {
    const both = await Promise.all([f.build(FILES), f.build(FILES)]);
    expect(new Set(both.map(({ result }) => result.digest)).size).toBe(1);
    expect([...ran].sort()).toEqual(['compile', 'fetch', 'link $VERSION']);
  });

  test('changes exactly one layer when one file of the last COPY changed', async () => {
    const files = {
      Dockerfile: 'FROM base\nWORKDIR /a\nCOPY lib lib\nCOPY app.js .\nCMD ["x"]',
      'lib/': {},
      'lib/x.js': 'x',
      'app.js': '1',
    };
    const first = await f.build(files);
    const second = await f.build({ ...files, 'app.js': '2' });
    const layers = ({ result }: Built): string[] => result.layers.map(({ digest }) => digest);
    expect(layers(second).filter((digest) => !layers(first).includes(digest))).toHaveLength(1);
    expect(cached(second)).toBe('CCx');
  });

  test('gives every failed build its error and runs nothing on', async () => {
    const failing: Sandbox = { run: () => Promise.resolve({ exitCode: 3, outOfMemory: false }) };
    const own = await buildFixture({ sandbox: () => Promise.resolve(failing) });
    await own.push('base', { a: 'a' });
    await expect(
      own.build({ Dockerfile: 'FROM base AS a\nRUN one\nFROM base\nRUN two\nCOPY --from=a /x /' }),
    ).rejects.toMatchObject({
      code: 'BUILD_RUN_FAILED',
      details: { exitCode: 3, file: 'Dockerfile' },
    });
    await own.close();
  });

  test('refuses RUN where there is no sandbox, with the line', async () => {
    const own = await buildFixture();
    await expect(own.build({ Dockerfile: 'FROM scratch\nCOPY Dockerfile /\nRUN x' })).rejects.toMatchObject({
      code: 'BUILD_RUN_UNAVAILABLE',
      details: { line: 3 },
    });
    await own.close();
  });
});

describe('the memory of last steps', () => {
  test('holds the list of files of the last key only', async () => {
    const { records, content, clock } = f.store;
    const steps = new LastSteps({ records, content, clock });
    const identity = { key: { key: 'k', parts: [] }, instruction: 'COPY' };
    const layer = digestOf('a layer');
    const list = async (): Promise<Digest | undefined> =>
      (await records.get<{ fileList?: Digest }>({ partition: 'STEP-LAST#here', sort: '-' }))?.value.fileList;
    const holders = async (blob: Digest | undefined): Promise<number> =>
      (await records.query(`BLOB#${blob ?? ''}`, { prefix: 'BY#' })).records.length;
    await steps.remember('here', { ...identity, files: [['a', 1, 'file 644']] }, layer);
    const first = await list();
    expect(await holders(first)).toBe(1);
    await steps.remember('here', { ...identity, files: [['a', 1, 'file 644']] }, layer);
    expect([await list(), await holders(first)]).toEqual([first, 1]);
    await steps.remember('here', { ...identity, files: [['a', 2, 'file 644']] }, layer);
    expect([await holders(first), await holders(await list())]).toEqual([0, 1]);
    await steps.remember('here', { ...identity, files: [] }, layer);
    expect(await list()).toBeUndefined();
  });
});
