/**
 * Each lint rule by itself: that it fires, that it does not fire on the same thing written well, and that each form of
 * `# check=` silences or sharpens it. The rules together, and their texts, are in test/golden/dockerfile.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { LINT_RULES, type LintRule } from '../../lib/dockerfile/index.js';
import type { BuildEvent, BuildRequest } from '../../lib/build/index.js';
import { buildFixture, type BuildFixture, failure } from './fixture.js';

let f: BuildFixture;
beforeAll(async () => {
  f = await buildFixture();
  await f.push('base:1', { 'etc/': {}, 'etc/name': 'base' });
});
afterAll(() => f.close());

interface RuleCase {
  readonly fires: string;
  /** Lines of the findings in `fires`. */
  readonly lines: readonly number[];
  /** None of the rule in these. */
  readonly clean: readonly string[];
  /** Of the whole file, so that no comment above an instruction is about it. */
  readonly wholeFile?: true;
  readonly request?: Partial<BuildRequest>;
}

const BASE = 'FROM base:1';
const RULES: Record<LintRule, RuleCase> = {
  StageNameCasing: { fires: `${BASE} AS Build`, lines: [1], clean: [`${BASE} AS build`, BASE] },
  FromAsCasing: {
    fires: `${BASE} as a\nFROM base:1 AS b`,
    lines: [1],
    clean: [`${BASE} AS a`, 'from base:1 as a', 'From base:1 as a'],
  },
  NoEmptyContinuation: {
    fires: `${BASE}\nLABEL a=b \\\n\n  c=d`,
    lines: [4],
    clean: [`${BASE}\nLABEL a=b \\\n  c=d`, `${BASE}\nLABEL a=b \\\n# a comment\n  c=d`],
    wholeFile: true,
  },
  ConsistentInstructionCasing: {
    fires: `${BASE}\nlabel a=b\nLABEL c=d`,
    lines: [2],
    clean: [`${BASE}\nLABEL a=b`, 'from base:1\nlabel a=b', `${BASE}\nCOPY <<E /x\nfrom b\nE`],
    wholeFile: true,
  },
  DuplicateStageName: {
    fires: `${BASE} AS a\n${BASE} AS a`,
    lines: [2],
    clean: [`${BASE} AS a\n${BASE} AS b`, `${BASE}\n${BASE}`],
    wholeFile: true,
  },
  ReservedStageName: {
    fires: `${BASE} AS scratch\n${BASE} AS context`,
    lines: [1, 2],
    clean: ['FROM scratch', 'FROM scratch AS a'],
    wholeFile: true,
  },
  JSONArgsRecommended: {
    fires: `${BASE}\nCMD run it\nENTRYPOINT it`,
    lines: [2, 3],
    clean: [`${BASE}\nCMD ["it"]\nENTRYPOINT ["it"]`, `${BASE}\nSHELL ["/bin/x"]\nCMD it\nENTRYPOINT it`],
  },
  MaintainerDeprecated: { fires: `${BASE}\nMAINTAINER me`, lines: [2], clean: [`${BASE}\nLABEL author=me`] },
  UndefinedArgInFrom: {
    fires: 'ARG VERSION=1\nFROM base:${VERSION}${VERSON}',
    lines: [2],
    clean: ['ARG VERSION=1\nFROM base:$VERSION', 'FROM --platform=$BUILDPLATFORM base:1', 'ARG X\nFROM base:1$X'],
  },
  WorkdirRelativePath: {
    fires: `${BASE}\nWORKDIR app`,
    lines: [2],
    clean: [`${BASE}\nWORKDIR /app\nWORKDIR sub`, `${BASE} AS a\nWORKDIR /app\nFROM a\nWORKDIR sub`],
  },
  UndefinedVar: {
    fires: `${BASE}\nENV A=$NOWHERE`,
    lines: [2],
    clean: [`${BASE}\nENV A=$PATH`, `${BASE}\nARG X\nENV A=$X`, `${BASE}\nLABEL a='$X'`],
  },
  MultipleInstructionsDisallowed: {
    fires: `${BASE}\nCMD ["a"]\nHEALTHCHECK NONE\nENTRYPOINT ["a"]\nCMD ["b"]\nHEALTHCHECK NONE\nENTRYPOINT ["b"]`,
    lines: [2, 3, 4],
    clean: [`${BASE} AS a\nCMD ["a"]\nFROM a\nCMD ["b"]`, `${BASE}\nENV A=1\nENV A=2`],
  },
  LegacyKeyValueFormat: {
    fires: `${BASE}\nENV a b\nLABEL a b`,
    lines: [2, 3],
    clean: [`${BASE}\nENV a=b\nLABEL a=b`],
  },
  InvalidBaseImagePlatform: {
    fires: BASE,
    lines: [1],
    clean: ['FROM scratch', 'FROM --platform=$BUILDPLATFORM base:1'],
    request: { platform: 'linux/arm64' },
  },
  RedundantTargetPlatform: {
    fires: 'FROM --platform=$TARGETPLATFORM base:1',
    lines: [1],
    clean: [BASE, 'FROM --platform=$BUILDPLATFORM base:1', 'FROM --platform=$TARGETOS/amd64 base:1'],
  },
  SecretsUsedInArgOrEnv: {
    fires: `${BASE}\nARG API_TOKEN\nENV db_password=x`,
    lines: [2, 3],
    clean: [`${BASE}\nARG PUBLIC_KEY\nENV password_file=x TOKEN_VERSION=1 monkey=2`],
  },
  InvalidDefaultArgInFrom: {
    fires: 'ARG TAG\nFROM base:$TAG',
    lines: [2],
    clean: ['ARG TAG=1\nFROM base:$TAG', 'ARG SUFFIX\nFROM base:1$SUFFIX', 'ARG X\nFROM base:${X:-1}'],
    request: { args: { TAG: '1' } },
  },
  FromPlatformFlagConstDisallowed: {
    fires: 'FROM --platform=linux/amd64 base:1',
    lines: [1],
    clean: ['FROM --platform=linux/amd64 base:1 AS for-amd64', 'FROM --platform=$BUILDPLATFORM base:1', BASE],
  },
  CopyIgnoredFile: {
    fires: `${BASE}\nCOPY ignored.txt /x\nADD ignored.txt /y`,
    lines: [2, 3],
    clean: [`${BASE}\nCOPY kept.txt /x`, `${BASE} AS a\nFROM scratch\nCOPY --from=a /ignored.txt /x`],
  },
  InvalidDefinitionDescription: {
    fires: `# wrong words\n${BASE} AS app\n# other words\nARG PORT`,
    lines: [2, 4],
    clean: [`# app is the app\n${BASE} AS app\n# PORT to listen on\nARG PORT`, `# anything\n#\n${BASE} AS app`],
  },
  ExposeProtoCasing: { fires: `${BASE}\nEXPOSE 80/TCP`, lines: [2], clean: [`${BASE}\nEXPOSE 80/tcp 53/udp 8080`] },
  ExposeInvalidFormat: {
    fires: `${BASE}\nEXPOSE 127.0.0.1:80:80 81:81`,
    lines: [2, 2],
    clean: [`${BASE}\nEXPOSE 80 81-83/tcp`],
  },
};

const isExperimental = (rule: string): boolean => rule === 'InvalidDefinitionDescription';

/** Lines where a rule was found, by a check. */
async function linesOf(rule: string, text: string, request: Partial<BuildRequest> = {}): Promise<number[]> {
  const { events } = await f.report(filesOf(text), { ...request, check: true });
  return found(events, rule);
}

function filesOf(Dockerfile: string) {
  return { Dockerfile, '.dockerignore': 'ignored.txt', 'ignored.txt': '', 'kept.txt': '' };
}

function found(events: readonly BuildEvent[], rule: string): number[] {
  return events.flatMap((event) => (event.type === 'warning' && event.rule === rule ? [event.line ?? 0] : []));
}

describe.each(Object.entries(RULES))('%s', (rule, { fires, lines, clean, wholeFile, request = {} }) => {
  const on = isExperimental(rule) ? `experimental=${rule}` : '';
  const head = (options: string): string => {
    const all = [on, options].filter((each) => each !== '').join(';');
    return all === '' ? '' : `# check=${all}\n`;
  };
  /** Lines are one further down when a directive stands above. */
  const shifted = lines.map((line) => (on === '' ? line : line + 1));

  test('fires', async () => {
    expect(await linesOf(rule, head('') + fires, request)).toEqual(shifted);
  });

  test.each(clean)('does not fire on %j', async (text) => {
    expect(await linesOf(rule, head('') + text, request)).toEqual([]);
  });

  test('is silent when the file skips it, or all; experimental ones unless asked for', async () => {
    const directives = isExperimental(rule)
      ? ['', '# check=skip=all\n']
      : [`skip=${rule}`, `skip=Other,${rule} and a reason`, 'skip=all'].map((each) => head(each));
    for (const directive of directives) expect(await linesOf(rule, directive + fires, request)).toEqual([]);
    if (isExperimental(rule)) expect(await linesOf(rule, `# check=experimental=all\n${fires}`)).toEqual(shifted);
  });

  test('is silent when a build argument skips it, whatever the file says', async () => {
    const args = { ...request.args, BUILDKIT_DOCKERFILE_CHECK: isExperimental(rule) ? '' : `skip=${rule}` };
    expect(await linesOf(rule, head('error=true') + fires, { ...request, args })).toEqual([]);
  });

  test('is silent where a comment above its instruction skips it', async () => {
    if (isExperimental(rule)) return;
    const above = fires.replace(/^(?=\S)/gm, `# check=skip=${rule}\n`);
    // A first line that is a directive would be one for the whole file.
    const seen = await linesOf(rule, `# not a directive\n${above}`, request);
    expect(seen.length).toBe(wholeFile === true ? lines.length : 0);
  });

  test('fails the check and the build with error=true', async () => {
    const text = head('error=true') + fires;
    const refused = await failure(f.report(filesOf(text), { ...request, check: true }));
    expect([refused.code, refused.message.includes(rule)]).toEqual(['DOCKERFILE_CHECK_FAILED', true]);
    const unbuilt = await failure(f.build(filesOf(text), request));
    expect(unbuilt.code).toBe('DOCKERFILE_CHECK_FAILED');
  });
});

test('every rule is here', () => {
  expect(Object.keys(RULES).sort()).toEqual(Object.keys(LINT_RULES).sort());
});

describe('a stage that is not needed', () => {
  const Dockerfile = `${BASE} AS aside\nENV a b\nCOPY $NOWHERE /x\nMAINTAINER me\n${BASE}\nENV c d`;
  const rules = async (request: Partial<BuildRequest>): Promise<string[]> => {
    const { events } = await f.report({ Dockerfile }, request);
    return events.flatMap((event) => (event.type === 'warning' ? [`${event.line} ${event.rule}`] : [])).sort();
  };

  test('is looked at by a check that names no target', async () => {
    expect(await rules({ check: true })).toEqual([
      '2 LegacyKeyValueFormat',
      '3 UndefinedVar',
      '4 MaintainerDeprecated',
      '6 LegacyKeyValueFormat',
    ]);
  });

  test('is not looked at by a build, but for what is about the whole file, and so cannot fail it', async () => {
    const expected = ['4 MaintainerDeprecated', '6 LegacyKeyValueFormat'];
    expect(await rules({ plan: true })).toEqual(expected);
    const strict = `# check=error=true\n${BASE} AS aside\nENV a b\n${BASE}`;
    await f.build({ Dockerfile: strict });
    expect((await failure(f.report({ Dockerfile: strict }, { check: true }))).code).toBe('DOCKERFILE_CHECK_FAILED');
  });
});
