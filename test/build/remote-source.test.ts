/** Words that name something on the network: which are git, and what a fragment or a query says, as BuildKit reads them. */
import { describe, expect, test } from '@jest/globals';
import { isRemote, parseRemote } from '../../lib/build/fetch/remote-source.js';
import { failure } from './fixture.js';

const REPOSITORY = 'https://example.com/team/app.git';
const COMMIT = '0123456789abcdef0123456789abcdef01234567';

describe('a repository', () => {
  test.each([
    ['', '', ''],
    ['#deadbeef', 'deadbeef', ''],
    ['#release/1.2', 'release/1.2', ''],
    ['#baz/qux:quux/quuz', 'baz/qux', 'quux/quuz'],
    ['#:folder', '', 'folder'],
    ['?ref=v1&subdir=/docs/', 'v1', 'docs'],
    ['?subdir=docs#v1', 'v1', 'docs'],
    ['?tag=v1', 'refs/tags/v1', ''],
    ['?branch=v1', 'refs/heads/v1', ''],
    ['?mtime=commit', '', ''],
    ['?mtime=checkout', '', ''],
    ['?fetch-by-commit&checksum=deadbeef#main', 'main', ''],
    [`?fetch-by-commit=true&checksum=${COMMIT}#main`, COMMIT, ''],
    [`?fetch-by-commit=false&checksum=${COMMIT}#main`, 'main', ''],
  ])('%s', (more, ref, subfolder) => {
    expect(parseRemote(REPOSITORY + more, {})).toMatchObject({ kind: 'git', url: REPOSITORY, ref, subfolder });
  });

  test.each([
    '?ref=v1#v2',
    '?ref=v1&tag=v2',
    '?tag=v1&branch=v1',
    '?mtime=now',
    '?fetch-by-commit=maybe',
    '?other=1',
    '#-x',
    '#a..b',
  ])('%s is refused', async (more) => {
    const refused = failure(Promise.resolve().then(() => parseRemote(REPOSITORY + more, {})));
    expect((await refused).code).toBe('BUILD_REMOTE_INVALID');
  });
});

test.each([
  ['https://example.com/', '__unnamed__'],
  ['https://example.com/app', 'app'],
  ['https://example.com/app.git/', 'app.git'],
  ['https://example.com/app.git.txt?x=1#y', 'app.git.txt'],
])('%s is a file', (word, name) => {
  expect(parseRemote(word, {})).toMatchObject({ kind: 'http', name });
});

test.each([
  ['./.git', false],
  ['.git', false],
  ['example.com/team/app.git', false],
  ['git@example.com:team/app', true],
  ['git://example.com/app', true],
])('%s: on the network %s', (word, remote) => {
  expect(isRemote(word)).toBe(remote);
});
