/** docs/dockerfile.md says the truth: each example of its table is planned by the builder, or refused with the code it names. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { MediaType } from '../../lib/oci/index.js';
import { buildFixture, type BuildFixture, failure } from './fixture.js';

let f: BuildFixture;
beforeAll(async () => {
  f = await buildFixture();
  await f.push('base', { x: '', a: '', 'etc/': {}, 'etc/passwd': 'app:x:1:1::/:/bin/sh\n' });
  const index = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [] };
  await f.registry.putManifest('index', Buffer.from(JSON.stringify(index)), MediaType.ociIndex, ['latest']);
});
afterAll(() => f.close());

interface Row {
  readonly feature: string;
  readonly example: string;
  readonly verdict: string;
}

/** Cells are parted by bars that are not escaped. */
function rows(): Row[] {
  const lines = readFileSync('docs/dockerfile.md', 'utf8').split('\n');
  return lines.flatMap((line) => {
    const [, , feature = '', example = '', verdict = ''] = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    const [, , code] = /^(`+)(.*)\1$/.exec(example) ?? [];
    return code === undefined ? [] : [{ feature, example: code.replaceAll('\\|', '|'), verdict }];
  });
}

function dockerfileOf(example: string): string {
  const text = example.replaceAll(/ ↵ ?/g, '\n');
  return /^\s*(#|arg|from)/i.test(text) ? text : `FROM base\n${text}`;
}

test('the table is there', () => {
  expect(rows().length).toBeGreaterThan(50);
});

test.each(rows())('$feature: $example', async ({ example, verdict }) => {
  const files = { Dockerfile: dockerfileOf(example), a: 'a', 'dir/': {}, 'dir/b': 'b', 'app.tar': '' };
  const [, code] = /^refused `([A-Z_]+)`$/.exec(verdict) ?? [];
  const planned = f.report(files, { check: true });
  if (code === undefined) {
    expect(verdict).toMatch(/^supported( where the request and the host allow it)?$/);
    await planned;
    return;
  }
  const error = await failure(planned);
  expect({ code: error.code, hasHint: error.hint !== undefined }).toEqual({ code, hasHint: true });
});
