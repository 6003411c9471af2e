/** Requests that build nothing: check, plan, outline and targets; and the lint findings of those that build. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { BuildEvent, BuildReport, ExpectedStep, PlanReport } from '../../lib/build/index.js';
import { type BuildFixture, buildFixture, failure, type Files } from './fixture.js';

let f: BuildFixture;

beforeEach(async () => {
  f = await buildFixture();
  await f.push('base:1', { 'etc/': {}, 'etc/name': 'base' });
});

afterEach(() => f.close());

const rules = (events: readonly BuildEvent[]): string[] =>
  events.flatMap((event) => (event.type === 'warning' ? [`${event.line ?? 0} ${event.rule ?? event.message}`] : []));

const LINTED = [
  'FROM base:1 AS build',
  'ARG P=80/TCP',
  'ARG D=rel',
  'WORKDIR $D',
  'EXPOSE $P',
  'ENV A=$NOWHERE B=${D}',
  'COPY secret.txt $D.txt /x/',
  'MAINTAINER me',
].join('\n');
const FILES: Files = { Dockerfile: LINTED, '.dockerignore': 'secret.txt\n', 'secret.txt': 's', 'rel.txt': 'r' };
const FOUND = [
  '4 WorkdirRelativePath',
  '5 ExposeProtoCasing',
  '6 UndefinedVar',
  '7 CopyIgnoredFile',
  '8 MaintainerDeprecated',
];

describe('check', () => {
  test('finds what needs variables, the ignore file and the base image, and builds nothing', async () => {
    const { report, events } = await f.report(FILES, { check: true });
    expect(report.kind).toBe('check');
    expect(rules(events).sort()).toEqual(FOUND);
    const { warnings } = report as Extract<BuildReport, { kind: 'check' }>;
    expect(warnings.map(({ rule }) => rule).sort()).toEqual(FOUND.map((each) => each.slice(2)).sort());
    expect(warnings.find(({ rule }) => rule === 'UndefinedVar')?.message).toContain('$NOWHERE');
    expect(events.some((event) => event.type === 'step-started')).toBe(false);
    expect(await f.registry.tags('app')).toBeUndefined();
  });

  test('of a clean file finds nothing', async () => {
    const { report } = await f.report({ Dockerfile: 'FROM base:1\nCOPY a /a\n', a: '' }, { check: true });
    expect(report).toEqual({ kind: 'check', warnings: [] });
  });

  test('names the platform that is not the base image’s own', async () => {
    const { events } = await f.report(
      { Dockerfile: 'FROM base:1\n' },
      { check: true, platforms: ['linux/arm64', 'linux/amd64'] },
    );
    expect(rules(events)).toEqual(['1 InvalidBaseImagePlatform']);
  });

  test.each([[{ check: true }], [{}], [{ plan: true }]])(
    'refuses %j when the file makes them errors',
    async (request) => {
      const Dockerfile = `# check=error=true;skip=CopyIgnoredFile\n${LINTED}`;
      const error = await failure(
        f.builder.build(
          { context: await f.context({ ...FILES, Dockerfile }), tags: [], ...request },
          {
            id: 'x',
            emit: () => undefined,
            signal: new AbortController().signal,
          },
        ),
      );
      expect(error.code).toBe('DOCKERFILE_CHECK_FAILED');
      expect(error.message).toMatch(/ExposeProtoCasing, MaintainerDeprecated, UndefinedVar, WorkdirRelativePath/);
    },
  );

  test.each([
    ['FROM scratch AS Bad\nMAINTAINER me\nBADCMD', 'DOCKERFILE_UNKNOWN_INSTRUCTION'],
    ['FROM --platform=$BULIDPLATFORM scratch AS Bad\nMAINTAINER me', 'PLATFORM_INVALID'],
  ])('of a file that is refused, what comes before is told: %j', async (Dockerfile, code) => {
    const events: BuildEvent[] = [];
    const call = { id: 'x', emit: (event: BuildEvent) => events.push(event), signal: new AbortController().signal };
    const request = { context: await f.context({ Dockerfile }), tags: [], check: true };
    const error = await failure(f.builder.build(request, call));
    expect([error.code, rules(events)]).toEqual([
      code,
      expect.arrayContaining(['1 StageNameCasing', '2 MaintainerDeprecated']),
    ]);
  });

  test('is asked for more by BUILDKIT_DOCKERFILE_CHECK', async () => {
    const { events } = await f.report(FILES, { check: true, args: { BUILDKIT_DOCKERFILE_CHECK: 'skip=all' } });
    expect(rules(events)).toEqual([]);
  });
});

describe('plan', () => {
  const Dockerfile = [
    'FROM base:1 AS one',
    'COPY a /a',
    'COPY b /b',
    'FROM base:1 AS two',
    'COPY --from=one /a /x',
    'COPY b /y',
  ].join('\n');
  const files = { Dockerfile, a: 'A', b: 'four' };
  const plan = async (change: Files = {}): Promise<PlanReport> => {
    const { report, events } = await f.report({ ...files, ...change }, { plan: true });
    expect(events.filter(({ type }) => type.startsWith('step'))).toEqual([]);
    if (report.kind !== 'plan') throw new Error('no plan');
    return report;
  };
  const shown = ({ steps }: PlanReport): string[] =>
    steps.map(({ expected, reason }: ExpectedStep) => `${expected}${reason === undefined ? '' : `: ${reason}`}`);

  test('without a name says that a name is needed to tell what changed, and with one tells it', async () => {
    const changed = { ...files, a: 'B' };
    await f.build(files);
    const ask = async (tags: readonly string[]): Promise<{ reasons: unknown[]; hints: number }> => {
      const { report, events } = await f.report(changed, { plan: true, tags });
      if (report.kind !== 'plan') throw new Error('no plan');
      const hints = events.filter((event) => event.type === 'message' && event.text.includes('has its name'));
      return { reasons: report.steps.flatMap(({ reason }) => reason ?? []), hints: hints.length };
    };
    const unnamed = await ask([]);
    expect([unnamed.reasons[0], unnamed.hints]).toEqual(['not built here before', 1]);
    const named = await ask(['app']);
    expect([named.reasons[0], named.hints]).toEqual(['a: content changed', 0]);
  });

  test('before the first build says that nothing was built, and what will be copied', async () => {
    const report = await plan();
    expect(shown(report)).toEqual([
      'miss: not built here before',
      'maybe: not built here before',
      'maybe: not built here before',
      'maybe: not built here before',
    ]);
    expect(report).toMatchObject({ hits: 0, misses: 4, bytes: { context: 1 + 4 + 4, cached: 0, fetch: 0 } });
  });

  test('after it expects hits, and of a change only what it needs', async () => {
    const { result } = await f.build(files);
    const report = await plan();
    expect(shown(report)).toEqual(['hit', 'hit', 'hit', 'hit']);
    expect(report.bytes.cached).toBe(result.steps.reduce((sum, step) => sum + (step.layerBytes ?? 0), 0));
    expect(shown(await plan({ b: 'five!' }))).toEqual([
      'hit',
      'miss: b: content changed',
      'maybe: content of /a changed',
      'maybe: a step before it changed',
    ]);
    expect(shown(await plan({ Dockerfile: Dockerfile.replace('COPY b /y', 'COPY b /z') }))[3]).toMatch(
      /^miss: destination/,
    );
  });

  test('comes true', async () => {
    await f.build(files);
    const expected = (await plan({ a: 'B' })).steps.map((step) => step.expected);
    const { result } = await f.build({ ...files, a: 'B' });
    for (const [i, step] of result.steps.entries()) {
      if (expected[i] !== 'maybe') expect([i, step.cached]).toEqual([i, expected[i] === 'hit']);
    }
    expect(result.steps.filter((step) => !step.cached).every((step) => step.reason !== undefined)).toBe(true);
  });
});

describe('outline and targets', () => {
  const Dockerfile = [
    '# GO the version of go',
    'ARG GO=1.22',
    'FROM golang:${GO} AS build',
    'ARG FLAGS',
    'RUN --mount=type=secret,id=npm,required --mount=type=cache,target=/root/.cache go build',
    'RUN --mount=type=ssh --mount=type=bind,from=tools,target=/t true',
    'FROM alpine AS unrelated',
    'ARG OTHER',
    'FROM --platform=$BUILDPLATFORM scratch AS release',
    'COPY --from=build /x /',
  ].join('\n');

  test('an outline has what the target and its stages take, without looking at an image', async () => {
    const { report } = await f.report({ Dockerfile }, { outline: true, args: { FLAGS: '-v' } });
    expect(report).toMatchObject({
      kind: 'outline',
      target: 'release',
      args: [
        { name: 'GO', value: '1.22', line: 2 },
        { name: 'FLAGS', value: '-v', line: 4 },
      ],
      secrets: [{ id: 'npm', required: true, line: 5 }],
      ssh: [{ id: 'default', required: false, line: 6 }],
      caches: [{ id: '/root/.cache', target: '/root/.cache', line: 5 }],
      mounts: [{ type: 'bind', from: 'tools', target: '/t', line: 6 }],
    });
    const other = await f.report({ Dockerfile }, { outline: true, target: 'unrelated' });
    expect((other.report as Extract<BuildReport, { kind: 'outline' }>).args.map(({ name }) => name)).toEqual(['OTHER']);
    const error = await failure(f.report({ Dockerfile }, { outline: true, target: 'relase' }));
    expect(error.code).toBe('DOCKERFILE_TARGET_UNKNOWN');
  });

  test('values in an outline are made from those before, and only what the target uses is there', async () => {
    const { report } = await f.report(
      {
        Dockerfile: [
          '# A the first letter',
          'ARG A=1',
          'ARG NOBODY=2',
          'ARG A=${A}2',
          'ARG B=${A}3',
          'FROM image:$B AS base',
          'ARG C=c',
          'ENV D=${C}d',
          'FROM base',
          'ARG A',
          'ARG E=${D}${UNKNOWN}',
          'RUN --mount=type=secret,id=key-${C} --mount=type=secret,source=src,target=/t true',
        ].join('\n'),
      },
      { outline: true, args: { C: 'x' } },
    );
    expect(report).toMatchObject({
      args: [
        { name: 'A', value: '12', description: 'the first letter', line: 4 },
        { name: 'B', value: '123', line: 5 },
        { name: 'C', value: 'x', line: 7 },
        { name: 'E', value: 'xd${UNKNOWN}', line: 11 },
      ],
      secrets: [{ id: 'key-x' }, { id: 'src' }],
    });
    const text = '# A the first letter\nARG A\nFROM scratch\nARG A';
    const given = await f.report({ Dockerfile: text }, { outline: true, args: { A: 'g' } });
    expect(given.report).toMatchObject({ args: [{ name: 'A', value: 'g', description: 'the first letter', line: 2 }] });
  });

  test('targets are the stages, the last one by default', async () => {
    const { report } = await f.report({ Dockerfile }, { targets: true });
    expect(report).toEqual({
      kind: 'targets',
      targets: [
        { name: 'build', base: 'golang:${GO}', isDefault: false, line: 3 },
        { name: 'unrelated', base: 'alpine', isDefault: false, line: 7 },
        { name: 'release', base: 'scratch', platform: '$BUILDPLATFORM', isDefault: true, line: 9 },
      ],
    });
  });
});
