/** The order of the house: a folder of `lib/` imports only from folders below it, and only through their faces. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from '@jest/globals';

const ROOT = resolve('.');
/** Ground floor first. */
const FLOORS = [
  'errors',
  'oci',
  'store',
  'auth',
  'dockerfile',
  'layers',
  'runtime',
  'registry',
  'build',
  'engine',
  'platform',
  'http',
  'docker',
  'client',
  'cli',
  'constructs',
  'host',
];

/** An adapter that only one host wants is imported by file, so that a Lambda bundle does not carry the other host. */
const DIRECT = /^lib\/(host|.*-(fs|lmdb|s3|dynamodb|sqs|records|system))/;

function sources(directory: string): string[] {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    if (statSync(path).isDirectory()) return sources(path);
    return /\.tsx?$/.test(name) ? [path] : [];
  });
}

interface Import {
  readonly from: string;
  readonly to: string;
}

function relativeImports(file: string): Import[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map((match) => ({
    from: relative(ROOT, file),
    to: relative(ROOT, resolve(dirname(file), match[1] ?? '')),
  }));
}

const floorOf = (path: string): string | undefined => /^lib\/([^/]+)\//.exec(path)?.[1];
const imports = sources(join(ROOT, 'lib')).flatMap(relativeImports);

describe('folders of lib', () => {
  test('every folder has its floor', () => {
    const folders = readdirSync(join(ROOT, 'lib'));
    expect(folders.filter((folder) => !FLOORS.includes(folder))).toEqual([]);
  });

  test('import only downward', () => {
    const upward = imports.filter(({ from, to }) => {
      const a = floorOf(from);
      const b = floorOf(to);
      return a !== undefined && b !== undefined && FLOORS.indexOf(b) > FLOORS.indexOf(a);
    });
    expect(upward).toEqual([]);
  });

  test('import one another only through index.ts', () => {
    const past = imports.filter(({ from, to }) => {
      const a = floorOf(from);
      const b = floorOf(to);
      if (a === undefined || b === undefined || a === b || a === 'host') return false;
      // A sub-folder with a face of its own (lib/registry/client/index) is a door too.
      return !to.endsWith('/index.js') && !DIRECT.test(to);
    });
    expect(past).toEqual([]);
  });

  test('domain code reaches for no environment, no wall clock and no cloud SDK', () => {
    const allowed = /^lib\/(host|cli|constructs)\/|-(fs|lmdb|s3|dynamodb|sqs|system)\.ts$|^lib\/platform\/ecs\//;
    const offenders = sources(join(ROOT, 'lib'))
      .map((file) => relative(ROOT, file))
      .filter((file) => !allowed.test(file))
      .filter((file) => /process\.env|Date\.now\(\)|from '@aws-sdk\//.test(readFileSync(join(ROOT, file), 'utf8')));
    expect(offenders).toEqual([]);
  });
});
