/** Ignore files and file patterns, with @balena/dockerignore as a second opinion. */
import { createRequire } from 'node:module';
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { Glob, hasWildcards, IgnoreFile, matchGlob, parseIgnore } from '../../lib/dockerfile/index.js';
import { AppError } from '../../lib/errors/index.js';

// Its types tell of a default export that the module has not.
const dockerignore = createRequire(import.meta.url)('@balena/dockerignore') as () => {
  add(patterns: readonly string[]): { ignores(path: string): boolean };
};

describe("Go's filepath.Match", () => {
  test.each([
    ['', '', true],
    ['a', 'a', true],
    ['a', 'b', false],
    ['*', 'anything', true],
    ['*', '', true],
    ['*', 'a/b', false],
    ['*.go', 'main.go', true],
    ['*.go', 'cmd/main.go', false],
    ['a*b*c', 'a1b2c', true],
    ['a*b*c', 'acb', false],
    ['*a', 'a', true],
    ['a*a', 'a', false],
    ['?', 'é', true],
    ['?', '😀', true],
    ['?', '/', false],
    ['[a-c]x', 'bx', true],
    ['[^a-c]x', 'bx', false],
    ['[^a]', '/', true],
    ['[!a]', 'b', false],
    ['[!a]', '!', true],
    ['[a\\-c]', '-', true],
    ['[\\]]', ']', true],
    ['[*]', '*', true],
    ['\\*', '*', true],
    ['\\*', 'a', false],
    ['**', 'a/b', false],
    ['**/x', 'a/x', true],
    ['**/x', 'a/b/x', false],
    ['a/*/c', 'a/b/c', true],
    ['a.c', 'abc', false],
  ])('%j on %j: %s', (pattern, path, expected) => {
    expect(matchGlob(pattern, path)).toBe(expected);
  });

  test.each(['[', '[a', '[]', '[]a]', '[-a]', '[a-]', '[a-b-c]', '[^]', '\\', 'a\\', 'ok/['])(
    '%j is broken',
    (pattern) => {
      expect(() => matchGlob(pattern, 'other')).toThrow(
        expect.objectContaining({ code: 'DOCKERFILE_PATTERN_INVALID' }),
      );
    },
  );
});

describe('double stars', () => {
  test.each([
    ['**', 'a/b/c', true],
    ['**/x', 'x', true],
    ['**/x', 'a/b/x', true],
    ['**/x', 'ax', false],
    ['a/**', 'a/b/c', true],
    ['a/**', 'a', false],
    ['a/**/b', 'a/b', true],
    ['a/**/b', 'a/1/2/b', true],
    ['a/**/b', 'a/1/2b', false],
    ['**/*.ts', 'src/deep/a.ts', true],
    ['**/a/*', 'x/a/b/c', false],
    ['*/**/z', 'a/z', true],
  ])('%j on %j: %s', (pattern, path, expected) => {
    expect(matchGlob(pattern, path, { doubleStar: true })).toBe(expected);
  });

  test('what could match below a folder is known', () => {
    const below = (pattern: string, folder: string): boolean =>
      Glob.compile(pattern, { doubleStar: true }).mayMatchBelow(folder);
    expect(below('a/b/c', 'a')).toBe(true);
    expect(below('a/b/c', 'a/b')).toBe(true);
    expect(below('a/b/c', 'a/x')).toBe(false);
    expect(below('a/b', 'a/b')).toBe(false);
    expect(below('**/c', 'any/thing')).toBe(true);
    expect(below('*/c', 'one')).toBe(true);
    expect(below('*/c', 'one/two')).toBe(false);
  });

  test('no pattern is slow', () => {
    expect(matchGlob(`${'*a'.repeat(40)}b`, 'a'.repeat(4000))).toBe(false);
    expect(matchGlob(`${'**/'.repeat(40)}b`, 'a/'.repeat(2000), { doubleStar: true })).toBe(false);
  });

  test('wildcards are seen unless escaped', () => {
    expect(['a*', 'a?', '[a]', 'a\\\\*'].every(hasWildcards)).toBe(true);
    expect(['a\\*', 'plain'].some(hasWildcards)).toBe(false);
  });
});

describe('ignore files', () => {
  test.each([
    ['node_modules', 'node_modules', true],
    ['node_modules', 'node_modules/a/b', true],
    ['node_modules', 'src/node_modules', false],
    ['/build', 'build/x', true],
    ['build/', 'build', true],
    ['./build/../dist', 'dist/a', true],
    ['*.md', 'README.md', true],
    ['*.md', 'docs/README.md', false],
    ['**/*.md', 'docs/README.md', true],
    ['*/temp*', 'a/temporary.txt', true],
    ['*/temp*', 'a/b/temporary.txt', false],
    ['temp?', 'tempa', true],
    ['# *', 'a', false],
    ['  spaced  ', 'spaced', true],
    ['*\n!keep', 'keep', false],
    ['*\n!keep', 'keep/inside', false],
    ['*\n!keep\nkeep/not', 'keep/not', true],
    ['*.md\n!README.md', 'README.md', false],
    ['!README.md\n*.md', 'README.md', true],
    ['docs\n! /docs/keep.md', 'docs/keep.md', false],
    ['docs/*\n!docs/a/b', 'docs/a/c', true],
    ['docs/*\n!docs/a/b', 'docs/a/b', false],
    ['**foo', 'xfoo', true],
    ['foo**', 'foobar/x', true],
    ['a\r\nb\r\n', 'b', true],
    ['\ufeffa', 'a', true],
    ['a', '.', false],
    ['.', 'a', false],
    ['\\#x', '#x', true],
    ['..', 'a', false],
  ])('%j on %j: %s', (text, path, expected) => {
    expect(parseIgnore(text).ignores(path)).toBe(expected);
  });

  test.each(['!', '! ', '!/', '[', '!a['])('%j is refused, with its line', (text) => {
    const refused = { code: 'DOCKERFILE_PATTERN_INVALID', details: { file: 'of.dockerignore', line: 3 } };
    expect(() => parseIgnore(`# [\na\n${text}\n!\n`, 'of.dockerignore')).toThrow(expect.objectContaining(refused));
    expect(() => parseIgnore(`\ufeffb\r\n\r\n${text}`)).toThrow(/^\.dockerignore:3: /);
  });

  test('a pattern of a folder outside an exception is not tried again inside, as when docker walks', () => {
    const ignore = parseIgnore('d\n!d/f\nd');
    expect(ignore.ignores('d')).toBe(true);
    expect(ignore.ignores('d/f')).toBe(false);
  });

  test('a walk passes by folders that nothing brings back', () => {
    const ignore = parseIgnore('a\nb\n!a/x/keep\n!**/deep.txt');
    expect(ignore.mayContain('src')).toBe(true);
    expect(ignore.mayContain('a')).toBe(true);
    expect(ignore.mayContain('b')).toBe(true);
    const plain = parseIgnore('a\nb\n!a/x/keep');
    expect(['a', 'a/x', 'a/y', 'b'].map((folder) => plain.mayContain(folder))).toEqual([true, true, false, false]);
  });

  test('patterns are told as cleaned', () => {
    const ignore = parseIgnore('# no\n/a/b/\n! /c\n\n');
    expect(ignore.patterns).toEqual(['a/b', '!c']);
    expect(ignore.hasExceptions).toBe(true);
    expect(new IgnoreFile([]).ignores('x')).toBe(false);
  });

  test('a context as a whole is ignored only by patterns for all', () => {
    expect(parseIgnore('*').ignoredSource('.')).toBe('.');
    expect(parseIgnore('a').ignoredSource('./')).toBeUndefined();
    expect(parseIgnore('a').ignoredSource('/a/')).toBe('/a');
  });
});

describe('properties', () => {
  const name = fc.constantFrom('a', 'b', 'ab', 'a.b', 'x');
  const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
  const piece = fc.constantFrom('a', 'b', 'ab', '*', 'a*', '*b', '?', '**', '[ab]', '*.b', 'x');
  const pattern = fc
    .tuple(fc.boolean(), fc.array(piece, { minLength: 1, maxLength: 3 }))
    .map(([isException, parts]) => (isException ? '!' : '') + parts.join('/'));

  const agree = (patterns: readonly string[], file: string): void => {
    const theirs = dockerignore().add(patterns).ignores(file);
    expect([patterns, file, new IgnoreFile(patterns).ignores(file)]).toEqual([patterns, file, theirs]);
  };
  // `**a` is compared as text by moby, and only by moby.
  const known = pattern.filter((each) => !/\*\*[^/]/.test(each));

  test('agrees with @balena/dockerignore on patterns without exceptions', () => {
    const plain = known.filter((each) => !each.startsWith('!'));
    fc.assert(fc.property(fc.array(plain, { maxLength: 4 }), path, agree), { numRuns: 1000 });
  });

  test('agrees with @balena/dockerignore on exceptions in the top folder', () => {
    // Deeper down, moby has two minds about exceptions that match a folder which was in anyway; docker walks by one of
    // them, and balena by the other.
    fc.assert(fc.property(fc.array(known, { maxLength: 4 }), name, agree), { numRuns: 1000 });
  });

  test('a folder that may contain nothing contains nothing', () => {
    fc.assert(
      fc.property(fc.array(pattern, { maxLength: 4 }), path, (patterns, file) => {
        const ignore = new IgnoreFile(patterns);
        const folders = file.split('/').map((_, i, all) => all.slice(0, i).join('/'));
        if (folders.some((folder) => folder !== '' && !ignore.mayContain(folder)))
          expect(ignore.ignores(file)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  test('any text is an ignore file or a refusal', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'!*?[]^-\\/.#ab \n\t'.split('')) }), path, (text, file) => {
        try {
          parseIgnore(text).ignores(file);
        } catch (error) {
          expect(error).toBeInstanceOf(AppError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
