import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatReference, parseReference } from '../../lib/oci/index.js';
import { refusalOf } from '../refusal.js';

const DIGEST = `sha256:${'0a'.repeat(32)}`;

describe('a reference', () => {
  test.each([
    ['ubuntu', { repository: 'ubuntu' }],
    ['team/app:1.2', { repository: 'team/app', tag: '1.2' }],
    ['localhost/app', { registry: 'localhost', repository: 'app' }],
    ['localhost:5000/team/app:v1', { registry: 'localhost:5000', repository: 'team/app', tag: 'v1' }],
    ['127.0.0.1:80/app', { registry: '127.0.0.1:80', repository: 'app' }],
    ['[::1]:5000/app', { registry: '[::1]:5000', repository: 'app' }],
    ['docker.io/library/alpine@' + DIGEST, { registry: 'docker.io', repository: 'library/alpine', digest: DIGEST }],
    ['app:tag@' + DIGEST, { repository: 'app', tag: 'tag', digest: DIGEST }],
    ['a__b/c-d/e.f', { repository: 'a__b/c-d/e.f' }],
  ])('%s has its parts', (text, parts) => {
    expect(parseReference(text)).toEqual(parts);
    expect(formatReference(parseReference(text))).toBe(text);
  });

  test.each([
    ['', 'it is empty'],
    ['App', 'component "App"'],
    ['app:', 'tag ""'],
    ['app:ta g', 'tag "ta g"'],
    [`app:${'x'.repeat(129)}`, 'tag'],
    ['app@sha256:xyz', 'hex part'],
    ['-x.y/app', 'registry "-x.y"'],
    ['team//app', 'component ""'],
    ['../app', 'registry ".."'],
    ['a/../b', 'component ".."'],
    [`${'a/'.repeat(200)}b`, 'longer than 255'],
  ])('refuses %j and names the part that is wrong', (text, part) => {
    expect(refusalOf(() => parseReference(text)).code).toBe('REFERENCE_INVALID');
    expect(() => parseReference(text)).toThrow(part);
  });

  test('reads back as written whatever was accepted', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9./:@_-]{1,60}$/), (text) => {
        let parsed;
        try {
          parsed = parseReference(text);
        } catch {
          return;
        }
        expect(formatReference(parsed)).toBe(text);
      }),
      { numRuns: 2_000 },
    );
  });
});
