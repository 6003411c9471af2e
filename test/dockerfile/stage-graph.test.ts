/** Which stages a target needs. */
import { describe, expect, test } from '@jest/globals';
import { baseStage, parseDockerfile, stagesNeeded, targetStage } from '../../lib/dockerfile/index.js';

const needed = (text: string, target?: string, globals?: ReadonlyMap<string, string>): number[] =>
  stagesNeeded(parseDockerfile(text), target, globals === undefined ? {} : { globals }).map(({ index }) => index);

describe('needed stages', () => {
  const file = [
    'FROM a AS deps',
    'FROM deps AS Build',
    'FROM deps AS test',
    'FROM b AS assets',
    'FROM scratch AS final',
    'COPY --from=BUILD /x /x',
    'RUN --mount=type=bind,from=assets,target=/a true',
    'COPY --from=nginx:1 /n /n',
  ].join('\n');

  test('through FROM, COPY and mounts, in any case, in file order', () => {
    expect(needed(file)).toEqual([0, 1, 3, 4]);
    expect(needed(file, '')).toEqual([0, 1, 3, 4]);
    expect(needed(file, 'TEST')).toEqual([0, 2]);
    expect(needed(file, '3')).toEqual([3]);
  });

  test('COPY takes numbers, mounts and FROM do not', () => {
    expect(needed('FROM a\nFROM b\nFROM c\nCOPY --from=1 x y')).toEqual([1, 2]);
    expect(needed('FROM a\nFROM b\nRUN --mount=from=0,target=/x y')).toEqual([1]);
    expect(needed('FROM a\nFROM 0')).toEqual([1]);
  });

  test('of two stages of one name, FROM takes the last before it and COPY the last of all', () => {
    expect(needed('FROM a AS x\nFROM b AS x\nFROM x')).toEqual([1, 2]);
    expect(needed('FROM a AS x\nFROM b AS x\nFROM c\nCOPY --from=x a b')).toEqual([1, 2]);
    expect(needed('FROM x AS x\nFROM x AS x')).toEqual([0, 1]);
  });

  test('FROM may name a stage by a global argument', () => {
    const text = 'ARG WHICH=one\nFROM a AS one\nFROM b AS two\nFROM $WHICH';
    expect(needed(text)).toEqual([0, 2]);
    expect(needed(text, undefined, new Map([['WHICH', 'two']]))).toEqual([1, 2]);
  });

  test('ONBUILD of a stage needs what it copies, in the child only', () => {
    const text = 'FROM a AS files\nFROM b AS base\nONBUILD COPY --from=files /x /x\nFROM base AS child\nFROM child';
    expect(needed(text, 'base')).toEqual([1]);
    expect(needed(text, 'child')).toEqual([0, 1, 2]);
  });
});

describe('refusals', () => {
  test('an unknown target lists the stages', () => {
    const attempt = (): unknown => needed('FROM a AS build\nFROM b\nFROM c AS final', 'biuld');
    expect(attempt).toThrow(
      expect.objectContaining({
        code: 'DOCKERFILE_TARGET_UNKNOWN',
        hint: 'did you mean build? stages: build, 1, final',
      }),
    );
  });

  test.each([
    ['FROM a\nCOPY --from=3 x y', 'DOCKERFILE_STAGE_UNKNOWN', '2:13', 'there is no stage 3'],
    ['FROM a\nCOPY --from=-1 x y', 'DOCKERFILE_STAGE_UNKNOWN', '2:13', 'there is no stage -1'],
    ['FROM a AS x\nCOPY --from=x a b', 'DOCKERFILE_STAGE_CYCLE', '2:13', 'stage "x" needs itself'],
    ['FROM a\nCOPY --from=0 a b', 'DOCKERFILE_STAGE_CYCLE', '2:13', 'stage "0" needs itself'],
    ['FROM a AS x\nCOPY --from=y a b\nFROM x AS y\nFROM y', 'DOCKERFILE_STAGE_CYCLE', '2:13', 'needs itself'],
    ['FROM a AS x\nCOPY --from=y a b\nFROM c AS y\nFROM x', 'DOCKERFILE_STAGE_ORDER', '2:13', 'is defined after'],
    ['FROM a AS b\nONBUILD COPY --from=7 x y\nFROM b', 'DOCKERFILE_STAGE_UNKNOWN', '3:1', 'there is no stage 7'],
    ['FROM ${x^}', 'DOCKERFILE_EXPANSION_INVALID', '1:6', 'unknown operator'],
  ])('%j: %s', (text, code, place, message) => {
    const attempt = (): unknown => needed(text);
    expect(attempt).toThrow(expect.objectContaining({ code }));
    expect(attempt).toThrow(`Dockerfile:${place}: `);
    expect(attempt).toThrow(message);
  });

  test('a stage nobody needs may be wrong', () => {
    expect(needed('FROM a AS broken\nCOPY --from=9 a b\nFROM c')).toEqual([1]);
  });
});

test('targets and bases can be looked up alone', () => {
  const file = parseDockerfile('FROM a AS One\nFROM one');
  expect(targetStage(file).index).toBe(1);
  expect(targetStage(file, 'ONE').index).toBe(0);
  const [first, second] = file.stages;
  if (first === undefined || second === undefined) throw new Error('two stages');
  expect(baseStage(file, second, 'ONE')).toBe(first);
  expect(baseStage(file, first, 'one')).toBeUndefined();
});

test('ten thousand stages are no trouble', () => {
  const text = Array.from({ length: 10_000 }, (_, i) => `FROM ${i === 0 ? 'a' : `s${i - 1}`} AS s${i}`).join('\n');
  expect(needed(text)).toHaveLength(10_000);
});
