/** What reads text from strangers: Dockerfiles, words with variables, flags, file patterns. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  csvFields,
  dumpDockerfile,
  expand,
  expandHeredoc,
  Glob,
  parseChmod,
  parseDockerfile,
  parseExposePort,
  parseIgnore,
  parseMount,
  runScript,
  stagesNeeded,
} from '../../lib/dockerfile/index.js';
import { outlineOf, targetsOf } from '../../lib/build/plan/outline.js';
import { isRemote, parseRemote } from '../../lib/build/fetch/remote-source.js';
import { mutateText } from './mutate.js';
import type { Random } from './random.js';
import { expectThat, settle, type Target } from './target.js';

const ROOT = join(import.meta.dirname, '..');
const PLATFORM = { os: 'linux', architecture: 'amd64' };

function dockerfiles(): string[] {
  const folders = ['golden/dockerfile/good', 'golden/dockerfile/bad', 'differential/cases'];
  return folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder)).flatMap((name) => {
      try {
        return [readFileSync(join(ROOT, folder, name, 'Dockerfile'), 'utf8')];
      } catch {
        return [];
      }
    }),
  );
}

const corpus = dockerfiles();
const words = corpus.flatMap((text) => text.split(/\s+/)).filter((word) => /[$"'\\`,=]/.test(word));
const patterns = [
  '*',
  '**/*.log',
  '!a',
  'a/b/',
  '/x',
  '[a-z]?',
  '\\*',
  '# no',
  '.git',
  'node_modules/**',
  '..',
  'a*b*c*d*',
];
const paths = [
  'a',
  'a/b',
  'a/b/c.log',
  'node_modules/x/y',
  '.git/config',
  'aaaaaaaaaaaaaaaaaaaaaaaaaaaaab',
  'ü/ß',
  'a*b',
];

function parser(random: Random): void {
  const text = mutateText(random, corpus);
  settle(() => {
    const file = parseDockerfile(text, random.chance(0.5) ? { violations: 'report' } : {});
    dumpDockerfile(file);
    stagesNeeded(file);
    targetsOf(file);
    for (const stage of file.stages) {
      for (const instruction of stage.instructions) if (instruction.kind === 'run') runScript(instruction);
    }
    outlineOf({ dockerfile: file, args: { a: '1' }, platform: PLATFORM, buildPlatform: PLATFORM });
  });
}

function expansion(random: Random): void {
  const word = mutateText(random, words);
  const env = new Map([
    ['a', mutateText(random, words).slice(0, 200)],
    ['b', ''],
    ['HOME', '/root'],
  ]);
  settle(() => {
    const { words: split, text } = expand(word, env, {
      escape: random.chance(0.5) ? '\\' : '`',
      rawQuotes: random.chance(0.3),
      keepUnset: random.chance(0.3),
    });
    expectThat(split.join('').length <= text.length * 4 + 4096, 'words are longer than the text');
  });
  settle(() => expandHeredoc(word, env));
  settle(() => parseMount(word));
  settle(() => csvFields(word));
  settle(() => parseExposePort(word));
  settle(() => parseChmod(word));
  settle(() => isRemote(word) && parseRemote(word, {}));
}

function ignore(random: Random): void {
  const lines = Array.from({ length: 1 + random.count(12) }, () => mutateText(random, patterns).slice(0, 600));
  const path = random.chance(0.7) ? random.pick(paths) : mutateText(random, paths).slice(0, 300);
  settle(() => {
    const file = parseIgnore(lines.join('\n'));
    const ignored = file.ignores(path);
    expectThat(file.ignores(path) === ignored, 'the same path is ignored and not');
    file.mayContain(path);
  });
  settle(() => Glob.compile(lines[0] ?? '').matches(path));
}

export const TEXT_TARGETS: readonly Target[] = [
  { name: 'parser', share: 0.25, run: parser },
  { name: 'expansion', share: 0.25, run: expansion },
  { name: 'ignore', share: 0.15, run: ignore },
];
