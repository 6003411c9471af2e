/** `wharf registry upstream …` and `refresh`. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type CliFixture, createCliFixture, type Ran } from './cli-fixture.js';

let cli: CliFixture;
beforeAll(async () => {
  cli = await createCliFixture();
});
afterAll(() => cli.close());

const registry = (...args: string[]): Promise<Ran> => cli.run(['registry', ...args]);

test('upstreams are added, changed, listed and removed', async () => {
  expect(await registry('upstream', 'add', 'hub', 'docker.io')).toMatchObject({
    code: 0,
    stdout: 'hub/… is a cache of docker.io; tags are looked up every 300 s, what nobody asks for in 30d goes\n',
  });
  await registry('upstream', 'add', 'hub', 'ghcr.io', '--tag-ttl', '60');
  // Loopback is spoken to by http without being told.
  const near = await registry('upstream', 'add', 'mirror/near', '127.0.0.1:5000', '--keep', 'forever');
  expect(near.stdout).toContain('what a tag points at stays');
  expect((await registry('upstream', 'ls')).stdout).toMatch(
    /^PREFIX .*\nhub +ghcr\.io +60s +30d +- +https\nmirror\/near +127\.0\.0\.1:5000 +300s +forever +- +http\n$/,
  );
  const bounded = await registry('upstream', 'add', 'small', '127.0.0.1:5000', '--max-size', '20G');
  expect(bounded.stdout).toMatch(/goes, and what is beyond 20\.00 GiB\n$/);
  expect((await registry('upstream', 'ls')).stdout).toMatch(/\nsmall .* 30d +20\.00 GiB +http\n/);
  expect((await registry('upstream', 'rm', 'small')).code).toBe(0);
  expect((await registry('upstream', 'rm', 'mirror/near')).code).toBe(0);
  expect(JSON.parse((await registry('upstream', 'ls', '--json')).stdout)).toEqual({
    upstreams: [{ prefix: 'hub', registry: 'ghcr.io', tagTtlSeconds: 60, keepSeconds: 2_592_000 }],
  });
  expect(await registry('upstream', 'rm', 'mirror/near')).toMatchObject({ code: 4 });
});

test.each<[readonly string[], RegExp]>([
  [['upstream', 'add', 'UPPER', 'docker.io'], /is no beginning of repository names/],
  [['upstream', 'add', 'x', 'http://docker.io'], /is not a registry/],
  [['upstream', 'add', 'x', 'docker.io', '--insecure'], /plain http is not spoken to docker\.io/],
  [['upstream', 'add', 'x', 'docker.io', '--tag-ttl', '99999999'], /tagTtlSeconds/],
  [['upstream', 'add', 'x', 'docker.io', '--keep', '30m'], /cannot be kept for 1800 s/],
  [['upstream', 'add', 'x', 'docker.io', '--keep', 'long'], /12h or 90d is wanted/],
  [['upstream', 'add', 'x', 'docker.io', '--max-size', 'much'], /20G or 1T is wanted/],
  [['upstream', 'add', 'x', 'docker.io', '--max-size', '10K'], /cannot be bounded to 10240 bytes/],
  [['refresh', 'own/app:1'], /own\/app:1 is not in a cache/],
  [['refresh', 'a b'], /image reference/],
])('%j is refused with what is wrong', async (args, message) => {
  const ran = await registry(...args);
  expect([ran.code === 0, ran.stderr]).toEqual([false, expect.stringMatching(message)]);
});
