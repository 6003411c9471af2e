import { describe, expect, test } from '@jest/globals';
import type { BuildEvent } from '../../lib/build/index.js';
import { excerpt } from '../../lib/cli/build-progress.js';
import { buildProgress, streamOutput } from '../../lib/cli/index.js';
import { BuildText, formatBuildError } from '../../lib/http/text/index.js';

const EVENTS: readonly BuildEvent[] = [
  { type: 'step-started', step: 1, name: '[1/3]', instruction: 'COPY . .' },
  { type: 'step-finished', step: 1, cached: true, milliseconds: 1 },
  { type: 'step-started', step: 2, name: '[2/3]', instruction: 'RUN <<EOF\nmake\nEOF' },
  { type: 'step-output', step: 2, stream: 'stdout', text: 'first half, ' },
  { type: 'step-output', step: 2, stream: 'stdout', text: 'second half\nno newline' },
  { type: 'warning', message: 'JSON arguments recommended', rule: 'JSONArgsRecommended', line: 7 },
  { type: 'step-finished', step: 2, cached: false, milliseconds: 1234, layerBytes: 3 * 1024 * 1024 },
  { type: 'step-started', step: 3, name: '[3/3]', instruction: 'RUN false' },
  { type: 'step-output', step: 3, stream: 'stderr', text: 'it broke\n' },
  { type: 'step-finished', step: 3, cached: false, milliseconds: 10, failed: true },
  { type: 'finished', status: 'failed', error: { code: 'X', message: 'RUN false failed' } },
];
const logged = EVENTS.map((event, i) => ({ sequence: i + 1, timeMs: 1000 + i * 100, event }));

function shown(isTTY: boolean): string {
  let text = '';
  const output = streamOutput({ write: () => {} }, { write: (chunk) => (text += chunk), isTTY }, { NO_COLOR: '1' });
  const progress = buildProgress('auto', output);
  for (const event of logged) progress.show(event);
  return text;
}

describe('the progress of a build', () => {
  test('is one line for each thing without a terminal, output lines whole and timed', () => {
    expect(shown(false)).toBe(
      [
        '#1 [1/3] COPY . .',
        '#1 CACHED',
        '#2 [2/3] RUN <<EOF …',
        '#2 0.200 first half, second half',
        'warning: JSONArgsRecommended: JSON arguments recommended (line 7)',
        '#2 0.400 no newline',
        '#2 DONE 1.2s, layer 3.0 MiB',
        '#3 [3/3] RUN false',
        '#3 0.100 it broke',
        '#3 ERROR after 0.0s',
        '',
      ].join('\n'),
    );
  });

  test('on a terminal keeps finished steps, and shows what a failed one said last', () => {
    const kept = shown(true)
      .split('\n')
      .map((line) => line.split('\r\u001B[K').at(-1));
    expect(kept).toEqual([
      '✓ [1/3] COPY . . CACHED',
      'warning: JSON arguments recommended',
      '✓ [2/3] RUN <<EOF 1.2s, 3.0 MiB',
      '✗ [3/3] RUN false 0.0s',
      '    it broke',
      '',
    ]);
  });

  test('as text of the API always ends in the exit status', () => {
    const text = new BuildText();
    const lines = logged.map((event) => text.format(event)).join('');
    expect(lines).toMatch(/ERROR X: RUN false failed\nexit status 1\n$/);
  });
});

describe('a build error', () => {
  test('names its place once', () => {
    const at = { code: 'X', file: 'Dockerfile', line: 3, column: 1 };
    expect(formatBuildError({ ...at, message: 'no' })).toBe('ERROR X: Dockerfile:3:1: no\n');
    expect(formatBuildError({ ...at, message: 'Dockerfile:3:1: no', hint: 'yes' })).toBe(
      'ERROR X: Dockerfile:3:1: no\n  yes\n',
    );
  });

  test('marks the line, at the edges of the file too', () => {
    const file = ['FROM a', 'RUN b', 'RUN c', 'RUN d'].join('\n');
    expect(excerpt(file, 1)).toBe('>>> 1 | FROM a\n    2 | RUN b\n    3 | RUN c\n');
    expect(excerpt(file, 4)).toBe('    2 | RUN b\n    3 | RUN c\n>>> 4 | RUN d\n');
  });
});
