/** Whatever the text: a Dockerfile or a refusal with its place, soon. */
import { describe, expect, test } from '@jest/globals';
import { DockerfileParser } from 'dockerfile-ast';
import * as fc from 'fast-check';
import {
  DockerfileError,
  dumpDockerfile,
  expand,
  expandWord,
  parseDockerfile,
  parseInstruction,
} from '../../lib/dockerfile/index.js';
import { AppError } from '../../lib/errors/index.js';

const RUNS = { numRuns: 1500 };

const token = fc.oneof(
  fc.constantFrom(
    ...'FROM RUN COPY ADD ENV ARG LABEL CMD ENTRYPOINT SHELL EXPOSE VOLUME USER WORKDIR HEALTHCHECK ONBUILD'.split(' '),
    ...'STOPSIGNAL MAINTAINER from AS NONE scratch a b=c \\ ` " \' = -- --from=a --platform=$X <<EOF EOF 3<<A'.split(
      ' ',
    ),
    ...'--mount=type=cache,target=/x|<<-"EOF"|# escape=`|# check=error=true|["a","b"]|[|$X|${X:-y}|${|}'.split('|'),
    ...' , ,  ,\t,\n,\r\n,\\\n,\ufeff,\u0085,\u00a0,\0,\ud83d\ude00'.split(','),
  ),
  fc.string({ maxLength: 5 }),
);
const text = fc.array(token, { maxLength: 40 }).map((parts) => parts.join(''));

function refusedOrDone(work: () => void, type: typeof AppError | typeof DockerfileError): void {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(type);
  }
}

describe('any text', () => {
  test('parses or is refused, with a place inside the file', () => {
    fc.assert(
      fc.property(text, (source) => {
        try {
          const file = parseDockerfile(`FROM scratch\n${source}`);
          expect(dumpDockerfile(file).split('\n').length).toBe(file.statements.length + 1);
        } catch (error) {
          if (!(error instanceof DockerfileError)) throw error;
          expect(error.place.line).toBeLessThanOrEqual(source.split('\n').length + 1);
          expect(error.place.line).toBeGreaterThanOrEqual(1);
          expect(error.place.column).toBeLessThanOrEqual(error.place.sourceLine.length + 1);
        }
      }),
      RUNS,
    );
  });

  test('expands or is refused', () => {
    const word = fc.string({ unit: fc.constantFrom(...'$${}{}:-+?#%/*\\`\'"ab1_ <\n'.split('')) });
    fc.assert(
      fc.property(word, fc.string(), fc.boolean(), (source, value, keepUnset) => {
        const env = new Map([['a', value]]);
        refusedOrDone(() => expand(source, env, { keepUnset }), AppError);
      }),
      { numRuns: 5000 },
    );
  });

  test('is a trigger or is refused', () => {
    fc.assert(
      fc.property(text, (source) => refusedOrDone(() => parseInstruction(source), DockerfileError)),
      RUNS,
    );
  });
});

describe('words', () => {
  test('without special characters stay as they are', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[^$'"\\<\ufeff]*$/), (word) => {
        expect(expandWord(word, new Map())).toBe(word);
      }),
    );
  });

  test('in single quotes stay as they are', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[^']*$/), (word) => {
        expect(expandWord(`'${word}'`, new Map())).toBe(word);
      }),
    );
  });

  test('trimmed at front and back with the same literal lose it once', () => {
    const plain = fc.stringMatching(/^[a-z]{1,5}$/);
    fc.assert(
      fc.property(plain, fc.string(), (part, middle) => {
        const env = new Map([['v', `${part}${middle}${part}`]]);
        expect(expandWord(`\${v#${part}}`, env)).toBe(`${middle}${part}`);
        expect(expandWord(`\${v%${part}}`, env)).toBe(`${part}${middle}`);
      }),
    );
  });
});

describe('large files', () => {
  test('of ten thousand lines of any kind are read in one go', () => {
    const lines = (line: (i: number) => string): string => Array.from({ length: 10_000 }, (_, i) => line(i)).join('\n');
    const head = 'FROM scratch\n';
    expect(parseDockerfile(head + lines((i) => `RUN echo ${i} && true`)).statements).toHaveLength(10_001);
    expect(parseDockerfile(head + lines((i) => `ENV A${i}="b c" D=e`)).statements).toHaveLength(10_001);
    expect(parseDockerfile(`${head}RUN x \\\n${lines(() => ' && y \\')}\nz`).statements).toHaveLength(2);
    expect(parseDockerfile(`${head}RUN x \\\n${lines(() => '# y')}\nz`).statements).toHaveLength(2);
    expect(parseDockerfile(`${head}RUN <<EOF\n${lines(() => 'x')}\nEOF`).statements).toHaveLength(2);
    expect(parseDockerfile(`${lines(() => '# x')}\n${head}`).statements).toHaveLength(1);
  });

  test('with a line as long as may be hold nothing up', () => {
    const fill = (part: string): string => part.repeat(Math.floor(60_000 / part.length));
    const heads = [
      'RUN ',
      'ENV ',
      'ENV a=',
      'COPY --chown=',
      'ONBUILD ',
      'LABEL ',
      'RUN --mount=',
      'EXPOSE ',
      '# ',
      '',
    ];
    for (const head of heads) {
      for (const part of [' ', '"', '\\', "'a", '$', '${a:-', '<<A ', '[', ',', '=', 'ONBUILD ', 'a=b ', '--x ']) {
        refusedOrDone(() => parseDockerfile(`FROM scratch\n${head}${fill(part)}`), DockerfileError);
        refusedOrDone(() => parseDockerfile(`${head}${fill(part)}\nFROM scratch`), DockerfileError);
      }
    }
  });
});

describe('dockerfile-ast as a second opinion', () => {
  const instruction = fc.constantFrom(
    'RUN echo a',
    'RUN a \\\n  b',
    'RUN a \\\n# why\n  b \\\n  c',
    '  USER x',
    'ENV a=b \\\n    c="d e"',
    'RUN <<EOF\nx\n y\nEOF',
    'COPY <<A <<B /x\n1\nA\n2\nB',
    'COPY --from=0 \\\n  a b',
  );
  const gap = fc.constantFrom('\n', '\n\n', '\n# between\n', '\n\t\n');

  test('instructions stand at the same lines and columns', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(gap, instruction), { maxLength: 8 }), (parts) => {
        const source = `FROM scratch${parts.map(([space, line]) => space + line).join('')}\n`;
        const ours = parseDockerfile(source).stages.flatMap(({ from, instructions }) => [from, ...instructions]);
        const theirs = DockerfileParser.parse(source).getInstructions();
        expect(
          ours.map(({ keyword, range: { start, end } }) => [keyword, start.line, start.column, end.line, end.column]),
        ).toEqual(
          theirs.map((each) => {
            const { start, end } = each.getRange();
            return [each.getInstruction(), start.line + 1, start.character + 1, end.line + 1, end.character + 1];
          }),
        );
      }),
      { numRuns: 300 },
    );
  });
});
