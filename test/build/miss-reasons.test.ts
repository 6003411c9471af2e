/** Every kind of miss of the step cache says in one line why: what was built, what is built next, and what is said of it. */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { BuildRequest, Sandbox } from '../../lib/build/index.js';
import { buildFixture, type BuildFixture, type Built, type Files } from './fixture.js';

/** What a RUN makes does not matter here. */
const sandbox: Sandbox = {
  emulates: () => Promise.resolve(true),
  run: async (_request, collect) => ({ exitCode: 0, value: await collect((async function* () {})()) }),
};

let f: BuildFixture;
/** Of a test: its name, a file and a variable, so that it knows nothing of those before it. */
let own = 0;
beforeAll(async () => {
  f = await buildFixture({ sandbox: () => Promise.resolve(sandbox) });
});
beforeEach(async () => {
  own += 1;
  await f.push('base', { 'etc/passwd': 'root:x:0:0::/:/bin/sh\n' });
});
afterAll(() => f.close());

interface Try {
  /** Behind `FROM base`. */
  readonly lines?: string;
  readonly files?: Files;
  readonly request?: Partial<BuildRequest>;
  readonly secrets?: ReadonlyMap<string, string>;
}

const FILES: Files = { 'src/': {}, 'src/a.ts': 'one', 'src/l': { symlink: 'a.ts' } };

function build({ lines = 'COPY src /src', files = {}, request = {}, secrets }: Try): Promise<Built> {
  const Dockerfile = `FROM base\nENV OWN=${own}\n${lines}`;
  const given = { tags: [`own-${own}`], ...request };
  return f.build({ ...FILES, 'src/own': String(own), ...files, Dockerfile }, given, undefined, secrets);
}

/** Of each step: what is said of its miss, `hit` when it is none. */
const said = ({ result }: Built): string[] => result.steps.map(({ reason }) => reason ?? 'hit');

const secret = (value: string): ReadonlyMap<string, string> => new Map([['s', value]]);
const SECRET = 'RUN --mount=type=secret,id=s cat /run/secrets/s';

const KINDS: readonly (readonly [kind: string, before: Try, after: Try, said: readonly string[]])[] = [
  ['content of a file', {}, { files: { 'src/a.ts': 'two' } }, ['src/a.ts: content changed']],
  ['mode', {}, { files: { 'src/a.ts': { content: 'one', mode: 0o755 } } }, ['src/a.ts: mode 0644 → 0755']],
  ['the owner, which is none', {}, { files: { 'src/a.ts': { content: 'one', uid: 5, gid: 6 } } }, ['hit']],
  ['target of a link', {}, { files: { 'src/l': { symlink: 'b.ts' } } }, ['src/l: leads elsewhere']],
  ['type of a file', {}, { files: { 'src/l': 'a file' } }, ['src/l: symlink → file']],
  ['a new file', {}, { files: { 'src/b.ts': 'b' } }, ['src/b.ts: new']],
  ['a file that is gone', { files: { 'src/b.ts': 'b' } }, {}, ['src/b.ts: gone']],
  ['the whole context', {}, { lines: 'COPY . /src' }, ['source: "/src" → "/"']],
  ['another source', {}, { lines: 'COPY src/a.ts /src' }, ['source: "/src" → "/src/a.ts"']],
  ['destination', {}, { lines: 'COPY src /other' }, ['destination: "/src" → "/other"']],
  [
    '--chmod',
    { lines: 'COPY --chmod=644 src /src' },
    { lines: 'COPY --chmod=600 src /src' },
    ['--chmod: "644" → "600"'],
  ],
  ['a flag that was not there', {}, { lines: 'COPY --chown=1:2 src /src' }, ['--chown is new']],
  ['a heredoc', { lines: 'COPY <<f /f\na\nf' }, { lines: 'COPY <<f /f\nb\nf' }, ['heredoc f changed']],
  ['a command', { lines: 'RUN a' }, { lines: 'RUN b' }, ['the command changed']],
  [
    'a build argument',
    { lines: 'ARG VERSION=1.2\nRUN a', request: {} },
    { lines: 'ARG VERSION=1.2\nRUN a', request: { args: { VERSION: '1.3' } } },
    ['variable VERSION: "1.2" → "1.3"'],
  ],
  ['an argument that was not there', { lines: 'RUN a' }, { lines: 'ARG V=1\nRUN a' }, ['variable V is new']],
  ['ENV', { lines: 'ENV A=1\nRUN a' }, { lines: 'ENV A=2\nRUN a' }, ['variable A: "1" → "2"']],
  ['SHELL', { lines: 'RUN a' }, { lines: 'SHELL ["/bin/ash", "-c"]\nRUN a' }, ['shell 0: "/bin/sh" → "/bin/ash"']],
  ['USER', { lines: 'RUN a' }, { lines: 'USER 5\nRUN a' }, ['user: "" → "5"']],
  ['--network', { lines: 'RUN a' }, { lines: 'RUN --network=none a' }, ['--network: "default" → "none"']],
  ['WORKDIR', { lines: 'WORKDIR /a' }, { lines: 'WORKDIR /b' }, ['path: "/a" → "/b"']],
  ['the step before', { lines: 'RUN a\nRUN c' }, { lines: 'RUN b\nRUN c' }, ['the command changed', 'hit']],
  [
    'a line that was put in',
    { lines: 'COPY src /src\nRUN a' },
    { lines: 'RUN a\nCOPY src /src' },
    ['instruction: COPY → RUN', 'a step before it changed'],
  ],
  [
    'the id of a secret',
    { lines: SECRET, secrets: secret('x') },
    { lines: SECRET.replace('id=s', 'id=s,required'), secrets: secret('x') },
    [expect.stringMatching(/^--mount of secret s: /) as unknown as string],
  ],
  [
    'the value of a secret, which is none',
    { lines: SECRET, secrets: secret('x') },
    { lines: SECRET, secrets: secret('y') },
    ['hit'],
  ],
  ['no cache', {}, { request: { noCache: true } }, ['built without the cache']],
  ['no cache for a stage', {}, { request: { noCacheFilter: ['0'] } }, ['built without the cache']],
  ['SOURCE_DATE_EPOCH', {}, { request: { args: { SOURCE_DATE_EPOCH: '1' } } }, ['SOURCE_DATE_EPOCH is new']],
  [
    'another name, where nothing was built',
    {},
    { files: { 'src/a.ts': 'two' }, request: { tags: ['other'] } },
    ['not built here before'],
  ],
];

test.each(KINDS)('%s', async (_kind, before, after, reasons) => {
  expect(new Set(said(await build(before)))).toEqual(new Set(['not built here before']));
  expect(said(await build(after))).toEqual(reasons);
});

test('the digest of the base image', async () => {
  const lines = 'COPY src /src\nRUN a';
  await build({ lines });
  await f.push('base', { 'etc/passwd': 'root:x:0:0::/root:/bin/sh\n' });
  const [first, second] = said(await build({ lines }));
  expect(first).toMatch(/^base image: base@sha256:[0-9a-f]{64} → base@sha256:[0-9a-f]{64}$/);
  expect(second).toBe('a step before it changed');
});

test('another base image of the same content is no miss', async () => {
  await build({});
  await f.push('base', { 'etc/passwd': 'root:x:0:0::/:/bin/sh\n' }, { Labels: { a: 'b' } });
  expect(said(await build({}))).toEqual(['hit']);
});

test('a file of a named context', async () => {
  const lines = 'COPY --from=lib . /lib';
  const lib = async (text: string): Promise<Partial<BuildRequest>> => ({
    contexts: { lib: { context: await f.context({ 'b.txt': text }) } },
  });
  await build({ lines, request: await lib('b') });
  expect(said(await build({ lines, request: await lib('c') }))).toEqual(['b.txt: content changed']);
});

test('what a stage made, where the step stands on another stage', async () => {
  const lines = 'RUN a\nFROM base\nCOPY --from=0 /x /x';
  const stages = (command: string) => ({ lines: lines.replace('RUN a', `RUN ${command}\nCOPY src/a.ts /x`) });
  await build(stages('a'));
  const again = said(await build({ ...stages('a'), files: { 'src/a.ts': 'two' } }));
  expect(again).toEqual(['hit', 'src/a.ts: content changed', 'content of /x changed']);
});

test('a layer that is gone from the store', async () => {
  const { result } = await build({});
  await f.store.records.delete({ partition: `BLOB#${result.steps[0]?.layerDigest ?? ''}`, sort: '-' });
  expect(said(await build({}))).toEqual(['its layer is not in the store any more']);
});
