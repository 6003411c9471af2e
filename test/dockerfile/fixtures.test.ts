/** Fixture folders: a Dockerfile beside its dump, or beside its error. See test/golden/dockerfile/README.md. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { DockerfileError, dumpDockerfile, type LintWarning, parseDockerfile } from '../../lib/dockerfile/index.js';

const ROOT = join('test', 'golden', 'dockerfile');
const cases = (kind: string): string[] => readdirSync(join(ROOT, kind)).sort();

/** The stored text; a missing one is written first when asked for. */
function golden(path: string, actual: string): string {
  if (!existsSync(path) && process.env['WRITE_GOLDEN'] === '1') writeFileSync(path, actual);
  return readFileSync(path, 'utf8');
}

function told(warnings: readonly LintWarning[]): string {
  return warnings.map(({ line, rule, message }) => `${line} ${rule}: ${message}\n`).join('');
}

function errorOf(text: string): DockerfileError {
  try {
    parseDockerfile(text);
  } catch (error) {
    if (error instanceof DockerfileError) return error;
    throw error;
  }
  throw new Error('the Dockerfile was accepted');
}

describe('good Dockerfiles', () => {
  test.each(cases('good'))('%s', (name) => {
    const folder = join(ROOT, 'good', name);
    const text = readFileSync(join(folder, 'Dockerfile'), 'utf8');

    const dockerfile = parseDockerfile(text);

    const dump = dumpDockerfile(dockerfile);
    expect(dump).toBe(golden(join(folder, 'dump'), dump));
    expect(dumpDockerfile(text)).toBe(dump);
    const warnings = told(dockerfile.warnings);
    const path = join(folder, 'warnings');
    if (name.startsWith('warn-') || existsSync(path)) expect(warnings).toBe(golden(path, warnings));
  });
});

describe('bad Dockerfiles', () => {
  test.each(cases('bad'))('%s', (name) => {
    const folder = join(ROOT, 'bad', name);
    const text = readFileSync(join(folder, 'Dockerfile'), 'utf8');

    const error = errorOf(text);

    const { line, column, sourceLine, file } = error.place;
    const refusal = `${error.code} ${line}:${column}\n${error.sentence}\n${error.hint ?? ''}\n`;
    expect(refusal).toBe(golden(join(folder, 'error'), refusal));
    const path = join(folder, 'warnings');
    if (existsSync(path)) expect(told(error.warnings)).toBe(golden(path, ''));
    expect(error.message).toBe(`${file}:${line}:${column}: ${error.sentence}`);
    expect(error.details).toMatchObject({ file: 'Dockerfile', line, column, sourceLine });
    expect(error.kind).toBe('invalid');
    if (sourceLine !== '' && error.code !== 'DOCKERFILE_LINE_TOO_LONG') {
      expect(text.replace('\ufeff', '').split(/\r?\n/)[line - 1]).toBe(sourceLine);
    }
  });
});
