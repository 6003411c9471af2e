/** Lint rules that wait for a build's knowledge, and the check directive. The others are in the fixtures. */
import { describe, expect, test } from '@jest/globals';
import {
  BuildLinter,
  type Dockerfile,
  type Instruction,
  LINT_RULES,
  parseDockerfile,
  parseIgnore,
} from '../../lib/dockerfile/index.js';

function only<K extends Instruction['kind']>(file: Dockerfile, kind: K): Instruction & { kind: K } {
  const found = file.stages.flatMap(({ instructions }) => instructions).find((each) => each.kind === kind);
  if (found === undefined) throw new Error(`no ${kind}`);
  return found as Instruction & { kind: K };
}

describe('while building', () => {
  test('variables that are not set are told, with the nearest name', () => {
    const file = parseDockerfile('FROM a\nUSER $NAEM');
    const found = new BuildLinter(file).undefinedVariables(
      only(file, 'user'),
      ['NAEM', 'DECLARED'],
      ['NAME'],
      new Set(['DECLARED']),
    );
    expect(found).toEqual([
      {
        rule: 'UndefinedVar',
        message: "Usage of undefined variable '$NAEM' (did you mean $NAME?)",
        line: 2,
        url: 'https://docs.docker.com/go/dockerfile/rule/undefined-var/',
      },
    ]);
  });

  test('a base of another platform is told', () => {
    const file = parseDockerfile('FROM app');
    const from = file.stages[0]?.from;
    if (from === undefined) throw new Error('no stage');
    const [amd, arm] = [
      { os: 'linux', architecture: 'amd64' },
      { os: 'linux', architecture: 'arm64' },
    ];
    const linter = new BuildLinter(file);
    expect(linter.baseImagePlatform(from, 'app', amd, amd)).toEqual([]);
    expect(linter.baseImagePlatform(from, 'app', amd, arm)).toEqual([
      {
        rule: 'InvalidBaseImagePlatform',
        message: 'Base image app was pulled with platform "linux/arm64", expected "linux/amd64" for current build',
        line: 1,
      },
    ]);
  });

  test('sources that the ignore file leaves out are told, unless it has exceptions', () => {
    const file = parseDockerfile('FROM a\nADD x ./dist/ /y');
    const add = only(file, 'add');
    const linter = new BuildLinter(file);
    expect(linter.ignoredSources(add, ['x', './dist/'], parseIgnore('dist')).map(({ message }) => message)).toEqual([
      'Attempting to Add file "dist" that is excluded by .dockerignore',
    ]);
    expect(linter.ignoredSources(add, ['x', 'dist'], parseIgnore('dist\n!dist/a'))).toEqual([]);
    expect(linter.ignoredSources(add, ['.'], parseIgnore('x'))).toEqual([]);
  });

  test('paths and ports with variables are looked at when their values are known, the others only by the parser', () => {
    const file = parseDockerfile('FROM a\nWORKDIR $W\nEXPOSE $P 1/TCP');
    const linter = new BuildLinter(file);
    expect(linter.workdir(only(file, 'workdir'), 'rel', true).map(({ rule }) => rule)).toEqual(['WorkdirRelativePath']);
    expect(linter.workdir(only(file, 'workdir'), 'rel', false)).toEqual([]);
    expect(linter.workdir(only(file, 'workdir'), '/abs', true)).toEqual([]);
    const ports = linter.exposedPorts(only(file, 'expose'), ['1/TCP', '2/UDP']);
    expect(ports.map(({ message }) => message)).toEqual([
      "Defined protocol '2/UDP' in EXPOSE instruction should be lowercase",
    ]);
    expect(file.warnings.map(({ message }) => message)).toEqual([
      "Defined protocol '1/TCP' in EXPOSE instruction should be lowercase",
    ]);
  });

  test('skip in the file or above the instruction silences these too', () => {
    const skipped = parseDockerfile('# check=skip=UndefinedVar\nFROM a\nUSER $X');
    expect(new BuildLinter(skipped).undefinedVariables(only(skipped, 'user'), ['X'], [])).toEqual([]);
    const above = parseDockerfile('FROM a\n# check=skip=UndefinedVar\nUSER $X');
    expect(new BuildLinter(above).undefinedVariables(only(above, 'user'), ['X'], [])).toEqual([]);
  });

  test('with error=true a warning of the build is a refusal', () => {
    const file = parseDockerfile('# check=error=true\nFROM a\nUSER $X');
    const linter = new BuildLinter(file);
    const warnings = linter.undefinedVariables(only(file, 'user'), ['X'], []);
    expect(linter.failure([])).toBeUndefined();
    expect(linter.failure(warnings)).toMatchObject({
      code: 'DOCKERFILE_CHECK_FAILED',
      place: { line: 3, column: 1, sourceLine: 'USER $X' },
    });
    const lenient = parseDockerfile('FROM a\nUSER $X');
    expect(new BuildLinter(lenient).failure(warnings)).toBeUndefined();
  });
});

describe('the check directive', () => {
  test('a caller may put its own in place, or only look', () => {
    const text = '# check=error=true\nFROM a\nCMD x';
    expect(() => parseDockerfile(text)).toThrow('lint violation found for rules: JSONArgsRecommended');
    expect(parseDockerfile(text, { violations: 'report' }).warnings).toHaveLength(1);
    expect(parseDockerfile(text, { check: 'skip=all;error=true' }).warnings).toEqual([]);
    expect(() => parseDockerfile('FROM a\nCMD x', { check: 'error=true' })).toThrow('JSONArgsRecommended');
  });
});

test('there are 22 rules', () => {
  expect(Object.keys(LINT_RULES)).toHaveLength(22);
});
