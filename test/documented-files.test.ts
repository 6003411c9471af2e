/** Source files and folders that a document names in code marks are there, and so is what its links lead to. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from '@jest/globals';

const below = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name));
const FOLDERS = ['bench', 'bin', 'docs', 'examples', 'lambdas', 'lib', 'scripts', 'test'];
const FILES = FOLDERS.flatMap(below);
const DOCUMENTS = ['README.md', 'TESTING.md', ...FILES].filter(
  (name) => name.endsWith('.md') && !/^test\/(golden|differential)\//.test(name),
);

const SOURCE = /^[\w./-]+\.(?:ts|mjs|cjs|sh)$/;
const FOLDER = /^(?:bench|bin|docs|examples|lambdas|lib|scripts|test)\/[\w./-]*$/;

/** A document names a file from the top, from its own folder, from `lib/`, or by its end. */
function isThere(document: string, name: string): boolean {
  if ([name, join(dirname(document), name), join('lib', name)].some((path) => existsSync(path))) return true;
  return !name.endsWith('/') && FILES.some((file) => file.endsWith(`/${name}`));
}

function missing(document: string, text: string): readonly string[] {
  const named = [...text.matchAll(/`([^`\s]+)`/g)].map(([, name = '']) => name);
  const links = [...text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map(([, target = '']) => target);
  return [
    ...named.filter((name) => (SOURCE.test(name) || FOLDER.test(name)) && !isThere(document, name)),
    ...links.filter((target) => !/^[a-z]+:/.test(target) && !existsSync(join(dirname(document), target))),
  ];
}

test('each is there', () => {
  expect(DOCUMENTS.length).toBeGreaterThan(80);
  const wrong = DOCUMENTS.flatMap((document) =>
    missing(document, readFileSync(document, 'utf8')).map((name) => `${document}: ${name}`),
  );
  expect(wrong).toEqual([]);
});

test('one that is not there is told', () => {
  const text = '`lib/http/app.ts`, `app.ts`, `lib/nowhere/`, `nothing.ts`, [a](gone.md), [b](README.md)';
  expect(missing('lib/http/README.md', text)).toEqual(['lib/nowhere/', 'nothing.ts', 'gone.md']);
});
