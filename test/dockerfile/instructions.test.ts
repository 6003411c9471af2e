/** Typed instructions: what the builder reads. */
import { describe, expect, test } from '@jest/globals';
import {
  errorAt,
  expandWord,
  flagSwitch,
  flagValue,
  flagValues,
  type Instruction,
  parseDockerfile,
  parseInstruction,
  runScript,
} from '../../lib/dockerfile/index.js';
import { AppError } from '../../lib/errors/index.js';

const inStage = (text: string): Instruction => {
  const [stage] = parseDockerfile(`FROM debian:12\n${text}`).stages;
  const [instruction] = stage?.instructions ?? [];
  if (instruction === undefined) throw new Error('no instruction');
  return instruction;
};
const kind = <K extends Instruction['kind']>(text: string, wanted: K): Instruction & { kind: K } => {
  const instruction = inStage(text);
  if (instruction.kind !== wanted) throw new Error(`it is ${instruction.kind}`);
  return instruction as Instruction & { kind: K };
};

describe('stages', () => {
  test('global arguments, stages with numbers and lower-case names, platforms as written', () => {
    const file = parseDockerfile(
      'ARG V=1 W\nFROM --platform=$BUILDPLATFORM a:$V AS One\nRUN x\nFROM scratch\nCOPY --from=one /a /a\n',
    );
    expect(file.globalArgs.map(({ args }) => args)).toEqual([[{ key: 'V', value: '1' }, { key: 'W' }]]);
    expect(file.stages.map(({ index, from }) => [index, from.image, from.name, from.platform])).toEqual([
      [0, 'a:$V', 'one', '$BUILDPLATFORM'],
      [1, 'scratch', undefined, undefined],
    ]);
    expect(file.stages.map(({ instructions }) => instructions.map((each) => each.kind))).toEqual([['run'], ['copy']]);
  });

  test('directives are told', () => {
    const file = parseDockerfile('# syntax=docker/dockerfile:1.7 # x\n# escape=`\nFROM scratch\n', {
      fileName: 'My.df',
    });
    expect(file).toMatchObject({ fileName: 'My.df', escape: '`', syntax: 'docker/dockerfile:1.7' });
    expect(parseDockerfile('#!/bin/x\n# syntax=y\nFROM scratch').syntax).toBe('y');
    expect(parseDockerfile('FROM scratch').syntax).toBeUndefined();
  });

  test('comments above describe stages and arguments', () => {
    const file = parseDockerfile('# V the version\nARG V=1\n# base where all begins\nFROM a AS base\n# V\nARG V\n');
    expect(file.globalArgs[0]?.args[0]?.description).toBe('the version');
    expect(file.stages[0]?.from.description).toBe('where all begins');
    expect(file.stages[0]?.instructions[0]?.comments).toEqual(['V']);
  });

  test('an instruction knows its lines, its place and its joined line', () => {
    const [stage] = parseDockerfile('FROM a\n\n  RUN one \\\n    # why\n    two  \nUSER x\n').stages;
    const [run] = stage?.instructions ?? [];
    expect(run).toMatchObject({
      keyword: 'RUN',
      code: 'RUN one     two',
      original: '  RUN one \\\n    # why\n    two  ',
      range: { start: { line: 3, column: 3 }, end: { line: 5, column: 10 } },
    });
  });
});

describe('instructions', () => {
  test('RUN, CMD and ENTRYPOINT have an exec form and a shell form', () => {
    expect(kind('RUN ["a", "b c"]', 'run').command).toEqual({ form: 'exec', args: ['a', 'b c'] });
    expect(kind('RUN a  b', 'run').command).toEqual({ form: 'shell', command: 'a  b' });
    expect(kind('CMD []', 'cmd').command).toEqual({ form: 'exec', args: [] });
    expect(kind('ENTRYPOINT a', 'entrypoint').command).toEqual({ form: 'shell', command: 'a' });
  });

  test('flags keep their order and values', () => {
    const { flags } = kind('COPY --link --exclude=a --exclude=b --parents=FALSE --chown=1:2 x y', 'copy');
    expect(flagSwitch(flags, 'link')).toBe(true);
    expect(flagSwitch(flags, 'parents')).toBe(false);
    expect(flagSwitch(flags, 'unpack')).toBeUndefined();
    expect(flagValues(flags, 'exclude')).toEqual(['a', 'b']);
    expect(flagValue(flags, 'chown')).toBe('1:2');
    expect(flagValue(flags, 'from')).toBeUndefined();
  });

  test('COPY and ADD part paths from heredocs', () => {
    const copy = kind('COPY <<-A x <<"B" /dir/\n\tone $V\n\tA\ntwo $V\nB\n', 'copy');
    expect(copy).toMatchObject({ sources: ['x'], destination: '/dir/' });
    expect(copy.heredocs).toEqual([
      { name: 'A', raw: '\tone $V\n', content: 'one $V\n', expand: true, stripTabs: true, fileDescriptor: 0 },
      { name: 'B', raw: 'two $V\n', content: 'two $V\n', expand: false, stripTabs: false, fileDescriptor: 0 },
    ]);
    expect(kind('ADD ["a b", "c d"]', 'add')).toMatchObject({ sources: ['a b'], destination: 'c d', heredocs: [] });
  });

  test.each([
    ["<<eo'f'", 'eof', false],
    ["<<eo\\'f", "eo'f", true],
    ["<<'two words'", 'two words', false],
    ['<<$X', '$X', true],
  ])('RUN %s ends at %s', (mark, name, expands) => {
    const [heredoc] = kind(`RUN ${mark}\nbody\n${name}\n`, 'run').heredocs;
    expect(heredoc).toMatchObject({ name, content: 'body\n', expand: expands });
  });

  test('a lone heredoc is the script; with #! it is a file; with a command it stays a heredoc', () => {
    expect(runScript(kind('RUN <<-A\n\tone\n\ttwo\nA\n', 'run'))).toEqual({ form: 'shell', command: 'one\ntwo\n' });
    expect(runScript(kind('RUN <<A\n#!/usr/bin/env python3\nx\nA\n', 'run'))).toEqual({
      form: 'script',
      path: '/dev/pipes/A',
      content: '#!/usr/bin/env python3\nx\n',
    });
    expect(runScript(kind('RUN <<-A cat 3<<B\n\tone\n\tA\ntwo\nB\n', 'run'))).toEqual({
      form: 'shell',
      command: '<<-A cat 3<<B\n\tone\nA\ntwo\nB',
    });
    expect(runScript(kind('RUN ["x"]', 'run'))).toEqual({ form: 'exec', args: ['x'] });
  });

  test('ENV and LABEL pairs keep quotes, and say when they were written the old way', () => {
    expect(kind('ENV a="b c" d=', 'env').pairs).toEqual([
      { key: 'a', value: '"b c"' },
      { key: 'd', value: '' },
    ]);
    expect(kind('LABEL a b  c', 'label').pairs).toEqual([{ key: 'a', value: 'b  c', legacy: true }]);
  });

  test('HEALTHCHECK times are nanoseconds, and zero is the same as none', () => {
    const health = kind(
      'HEALTHCHECK --interval=1m30s --timeout=0s --start-period=1.5ms --retries=2 CMD x y',
      'healthcheck',
    );
    expect(health).toMatchObject({
      command: { form: 'shell', command: 'x y' },
      intervalNs: 90_000_000_000,
      startPeriodNs: 1_500_000,
      retries: 2,
    });
    expect(health).not.toHaveProperty('timeoutNs');
    expect(kind('HEALTHCHECK NONE', 'healthcheck').command).toBeUndefined();
  });

  test('EXPOSE is sorted, VOLUME is trimmed', () => {
    expect(kind('EXPOSE 9 80/udp 443', 'expose').ports).toEqual(['443', '80/udp', '9']);
    expect(kind('VOLUME [" /a ", "/b"]', 'volume').paths).toEqual(['/a', '/b']);
  });

  test('ONBUILD keeps the trigger as text, heredoc bodies included', () => {
    expect(kind('onbuild  COPY a b', 'onbuild').expression).toBe('COPY a b');
    const { expression } = kind('ONBUILD RUN <<A\nx\nA\n', 'onbuild');
    expect(expression).toBe('RUN <<A\nx\nA');
    expect(parseInstruction(expression)).toMatchObject({ kind: 'run', heredocs: [{ content: 'x\n' }] });
  });

  test('STOPSIGNAL and ARG pass over flags, as docker always did', () => {
    expect(kind('STOPSIGNAL --x 9', 'stopsignal').signal).toBe('9');
    expect(kind('ARG --x a=1', 'arg').args).toEqual([{ key: 'a', value: '1' }]);
  });
});

describe('a trigger on its own', () => {
  test.each(['FROM scratch', 'RUN a\nRUN b'])('%j is refused', (text) => {
    expect(() => parseInstruction(text)).toThrow(expect.objectContaining({ code: 'DOCKERFILE_ONBUILD' }));
  });
  test('errors name the file they are told', () => {
    expect(() => parseInstruction('RNU x', { fileName: 'base image' })).toThrow(/^base image:1:1: unknown instruction/);
  });
});

describe('errors met after parsing', () => {
  test('get the place of the word they are about', () => {
    const workdir = inStage('WORKDIR \\\n  /x/${HOME^}');
    let error: unknown;
    try {
      expandWord('/x/${HOME^}', new Map());
    } catch (thrown) {
      error = thrown;
    }
    if (!(error instanceof AppError)) throw new Error('no refusal');
    const located = errorAt('Dockerfile', workdir, error);
    expect(located.place).toEqual({ file: 'Dockerfile', line: 3, column: 6, sourceLine: '  /x/${HOME^}' });
    expect(located.message).toMatch(/^Dockerfile:3:6: /);
    expect(errorAt('Dockerfile', workdir, located)).toBe(located);
  });
});
