/** Commands of `wharf` in documents and scripts are ones that it has, with options that it takes. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import type { Command } from 'commander';
import { type CliDeps, program, streamOutput } from '../../lib/cli/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';

const below = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => `${folder}/${name}`);
const PLACES = ['README.md', 'TESTING.md', ...['docs', 'lib', 'scripts', 'bench'].flatMap(below)].filter((name) =>
  /\.(md|sh)$/.test(name),
);

function documented(): { readonly place: string; readonly words: readonly string[] }[] {
  return PLACES.flatMap((place) => {
    const text = readFileSync(place, 'utf8').replaceAll('\\\n', ' ');
    return [...text.matchAll(/(?:`|npx |bin\/)wharf(?:\.ts)? ([a-z-][^`\n|&;]*)/g)].map(([, line = '']) => ({
      place,
      // What is after `--` is another program's, after `#` nobody's.
      words: (line.split(/ -- |\s#|\s2>/)[0] ?? '').trim().split(/\s+/),
    }));
  });
}

const silent = { write: () => undefined };
const NOBODY: CliDeps = {
  ...{ cwd: '.', env: {}, clock: systemClock, interrupted: new AbortController().signal, version: '0.0.0' },
  output: streamOutput(silent, silent, {}),
  startEmbedded: () => Promise.reject(new Error('not in this test')),
  startEngine: () => Promise.reject(new Error('not in this test')),
  takeDown: () => Promise.reject(new Error('not in this test')),
};

/** What is not known of this command line. */
function unknown(words: readonly string[]): readonly string[] {
  let command: Command = program(NOBODY);
  const problems: string[] = [];
  let isName = true;
  for (const word of words) {
    const [flag = ''] = word.split('=');
    if (/^-./.test(word)) {
      const options = [...command.options, ...(command.parent?.options ?? [])];
      const isKnown = options.some(({ long, short }) => flag === long || flag === short) || flag === '--help';
      if (!isKnown) problems.push(flag);
    } else if (isName && command.commands.length > 0) {
      const next = command.commands.find((each) => each.name() === word || each.aliases().includes(word));
      if (next === undefined) problems.push(word);
      else command = next;
      isName = next !== undefined && next.commands.length > 0;
    }
  }
  return problems;
}

test('each is known', () => {
  const commands = documented();
  expect(commands.length).toBeGreaterThan(40);
  const wrong = commands.flatMap(({ place, words }) =>
    unknown(words).map((what) => `${place}: wharf ${words.join(' ')}: ${what}`),
  );
  expect(wrong).toEqual([]);
});

test('one that is not known is told', () => {
  expect(unknown(['cluster', 'creat', 'main'])).toEqual(['creat']);
  expect(unknown(['run', 'job:1', '--cuont', '3'])).toEqual(['--cuont']);
  expect(unknown(['run', 'job:1', '--count', '3', '-e', 'A=1'])).toEqual([]);
});
