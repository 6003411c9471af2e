/** Source policies: what patterns match and make of a name, and what a build does with what rules say. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { BuildRequest, PolicyRule, PolicySelector } from '../../lib/build/index.js';
import { patternOf } from '../../lib/build/policy/selector.js';
import { SourceRules } from '../../lib/build/policy/source-policy.js';
import { buildFixture, type BuildFixture, failure, textOf } from './fixture.js';
import { startWebServer, type WebServer } from './remote-server.js';

describe('a pattern', () => {
  const made = (selector: PolicySelector, text: string, template = '$1|$2'): string | undefined => {
    const pattern = patternOf(selector);
    return pattern.matches(text) ? pattern.format(text, template) : undefined;
  };

  test.each([
    ['docker.io/golang:*', 'docker.io/golang:1.19', '1.19|'],
    ['*', 'anything', 'anything|'],
    ['a*b*c', 'axbybzc', 'xby|z'],
    ['*b*', 'abcb', 'abc|'],
    ['a**', 'a', 'error'],
    ['a*a', 'a', undefined],
    ['a*bc*c', 'abc', undefined],
    ['plain', 'plainer', undefined],
    ['x.y*', 'xzy1', undefined],
  ])('with * : %s on %s', (identifier, text, expected) => {
    if (expected === 'error') return expect(() => patternOf({ identifier })).toThrow('**');
    expect(made({ identifier }, text)).toBe(expected);
  });

  test('with * is not slow, whatever it is', () => {
    const pattern = patternOf({ identifier: `${'a*'.repeat(500)}b` });
    expect(pattern.matches('a'.repeat(4000))).toBe(false);
  });

  test('as an expression has groups by number and by name, and a time limit', () => {
    const regex = (identifier: string) => ({ identifier, match_type: 'REGEX' }) as const;
    expect(made(regex('^(.+)/(?P<rest>.+)$'), 'host/name', 'm/$1x/${1}-$rest$$')).toBe('m//host-name$');
    expect(made(regex('(?i)ALPINE'), 'my-alpine:3', 'busybox')).toBe('my-busybox:3');
    expect(() => patternOf(regex('('))).toThrow();
    expect(() => patternOf(regex('^(a+)+$')).matches(`${'a'.repeat(60)}b`)).toThrow('too long');
    expect(made({ identifier: 'a*', match_type: 'EXACT' }, 'ab')).toBeUndefined();
  });
});

describe('rules', () => {
  const rules = (...list: readonly PolicyRule[]): SourceRules => new SourceRules({ rules: list });
  const rule = (action: PolicyRule['action'], identifier: string, to?: string): PolicyRule => ({
    ...(action === undefined ? {} : { action }),
    selector: { identifier },
    ...(to === undefined ? {} : { updates: { identifier: to } }),
  });
  const said = async (of: SourceRules, identifier: string, attrs = {}): Promise<unknown> => {
    try {
      return of.evaluate({ identifier, attrs }).identifier;
    } catch (error) {
      return (error as { code: string }).code;
    }
  };

  test('allow or deny by the last that matches, and begin anew with what one converts', async () => {
    const list = rules(rule('DENY', '*'), rule('ALLOW', 'docker-image://*'), rule('DENY', 'docker-image://bad:*'));
    expect(await said(list, 'https://x')).toBe('BUILD_SOURCE_DENIED');
    expect(await said(list, 'docker-image://good:1')).toBe('docker-image://good:1');
    expect(await said(list, 'docker-image://bad:1')).toBe('BUILD_SOURCE_DENIED');
    const converting = rules(rule('CONVERT', 'a:*', 'b:${1}'), rule('CONVERT', 'b:1', 'c'), rule('DENY', 'b:*'));
    expect(await said(converting, 'a:1')).toBe('c');
    expect(await said(converting, 'a:2')).toBe('BUILD_SOURCE_DENIED');
    expect(await said(rules(rule('CONVERT', '*', '$1+')), 'a')).toBe('BUILD_SOURCE_POLICY_LOOP');
  });

  test('look at attributes', async () => {
    const constraints = [
      { key: 'a', value: '1' },
      { key: 'b', value: '2', condition: 'NOTEQUAL' },
      { key: 'c', value: '^x', condition: 'MATCHES' },
    ] as const;
    const list = rules({ action: 'DENY', selector: { identifier: '*', constraints } });
    expect(await said(list, 'x', { a: '1', c: 'xy' })).toBe('BUILD_SOURCE_DENIED');
    expect(await said(list, 'x', { a: '1', b: '2', c: 'xy' })).toBe('x');
    expect(await said(list, 'x', { a: '1', c: 'y' })).toBe('x');
  });

  test('that make no sense are refused with their number', async () => {
    for (const bad of [rule('CONVERT', 'a'), rule('DENY', 'a**')]) {
      const error = await failure(Promise.resolve().then(() => rules(rule('ALLOW', 'x'), bad)));
      expect([error.code, error.message]).toEqual(['BUILD_SOURCE_POLICY_INVALID', expect.stringMatching(/^rule 2 \(/)]);
    }
    const selector = { identifier: 'a', match_type: 'REGEX' } as const;
    const many = await failure(
      Promise.resolve().then(() => rules(...Array.from({ length: 21 }, () => ({ selector })))),
    );
    expect(many.code).toBe('BUILD_SOURCE_POLICY_INVALID');
  });
});

describe('a build with a policy', () => {
  let f: BuildFixture;
  let web: WebServer;

  beforeEach(async () => {
    web = await startWebServer();
    web.files.set('/tool', { body: 'tool' });
    web.files.set('/mirror/tool', { body: 'mirrored' });
    f = await buildFixture({ fetching: { egress: { allow: ['127.0.0.0/8'] } } });
    await f.push('base:1', { name: 'one' });
    await f.push('base:2', { name: 'two' });
    await f.push('team/base:1', { name: 'team' });
  });
  afterEach(async () => {
    await f.close();
    await web.close();
  });

  const build = (Dockerfile: string, rules: readonly PolicyRule[], more: Partial<BuildRequest> = {}) =>
    f.build({ Dockerfile, a: 'A' }, { sourcePolicy: { version: 1, rules }, ...more });
  const deny = (identifier: string): PolicyRule => ({ action: 'DENY', selector: { identifier } });
  const convert = (identifier: string, to: string, attrs?: Record<string, string>): PolicyRule => ({
    action: 'CONVERT',
    selector: { identifier },
    updates: { identifier: to, ...(attrs === undefined ? {} : { attrs }) },
  });

  test('denies an image at its line, with the rule', async () => {
    const hub = 'docker-image://docker.io/library/base:2';
    const error = await failure(build('FROM base:1\nCOPY --from=base:2 /name /', [deny('local://none'), deny(hub)]));
    expect(error.code).toBe('BUILD_SOURCE_DENIED');
    expect(error.message).toBe(`Dockerfile:2:13: ${hub} is denied by rule 2 (DENY ${hub}) of the source policy`);
    expect(error.details).toMatchObject({ file: 'Dockerfile', line: 2, source: hub, rule: 2 });
    // A stage nobody needs takes nothing.
    await build('FROM base:2 AS unused\nFROM base:1\nCOPY a /', [deny(hub)]);
  });

  test('takes another image instead, and the pinned one from where the name would lead', async () => {
    const name = async (...rules: readonly PolicyRule[]): Promise<string> => {
      const { result } = await build('FROM base:1\nCOPY a /', rules);
      return textOf(await f.tree(result.digest), 'name');
    };
    const one = 'docker-image://docker.io/library/base:1';
    expect(await name(convert(one, 'docker-image://docker.io/library/base:2'))).toBe('two');
    expect(await name(convert('docker-image://docker.io/library/*', 'docker-image://docker.io/team/$1'))).toBe('team');
    const digest = (await f.registry.manifest('base', { tag: '2' }))?.digest;
    expect(await name(convert(one, `${one}@${digest}`))).toBe('two');
    const odd = await failure(name(convert(one, 'https://example.com/x')));
    expect([odd.code, odd.details?.['line']]).toEqual(['BUILD_SOURCE_POLICY_INVALID', 1]);
    const attrs = await failure(name(convert(one, one, { 'image.resolvemode': 'pull' })));
    expect(attrs.code).toBe('BUILD_SOURCE_POLICY_INVALID');
  });

  test('knows an image by its digest, whatever its name is', async () => {
    const digest = (await f.registry.manifest('base', { tag: '2' }))?.digest;
    const lines = 'FROM base:1\nCOPY --from=base:2 /name /';
    const error = await failure(build(lines, [deny(`*@${digest}`)]));
    expect([error.code, error.details]).toEqual([
      'BUILD_SOURCE_DENIED',
      expect.objectContaining({ line: 2, source: `docker-image://docker.io/library/base:2@${digest}` }),
    ]);
    // What is allowed by its name stays so when its digest is known.
    const hub = 'docker-image://docker.io/library/base';
    const allow = (identifier: string): PolicyRule => ({ selector: { identifier, match_type: 'EXACT' } });
    await build(lines, [deny('docker-image://*'), allow(`${hub}:1`), allow(`${hub}:2`)]);
    await build(lines, [deny(`*@${digest}`), allow(`${hub}:2@${digest}`)]);
  });

  test('has to do with the rules of the host as well', async () => {
    const [first, second] = ['docker-image://docker.io/library/base:1', 'docker-image://docker.io/library/base:2'];
    const host = await buildFixture({ sourcePolicy: { rules: [deny(second)] } });
    try {
      await host.push('base:1', { name: 'one' });
      await host.push('base:2', { name: 'two' });
      const build = (from: string, rules: readonly PolicyRule[] = []) =>
        host.build({ Dockerfile: `FROM ${from}` }, { sourcePolicy: { rules } });
      await build('base:1');
      for (const ask of [
        build('base:2', [{ selector: { identifier: '*' } }]),
        build('base:1', [convert(first, second)]),
      ]) {
        const error = await failure(ask);
        expect(error.message).toMatch(/is denied by rule 1 \(DENY .*:2\) of this builder's source policy/);
      }
    } finally {
      await host.close();
    }
    await expect(buildFixture({ sourcePolicy: { rules: [deny('**')] } })).rejects.toThrow(
      /this builder's source policy/,
    );
  });

  test('holds for what ADD fetches: denied, from a mirror, with a checksum', async () => {
    const Dockerfile = `FROM scratch\nADD ${web.url}/tool /`;
    const denied = await failure(build(Dockerfile, [deny('http://*')]));
    expect([denied.code, denied.details?.['line']]).toEqual(['BUILD_SOURCE_DENIED', 2]);
    expect(web.requests).toEqual([]);
    const { result } = await build(Dockerfile, [convert(`${web.url}/tool`, `${web.url}/mirror/tool`)]);
    expect(await textOf(await f.tree(result.digest), 'tool')).toBe('mirrored');
    const checksum = { 'http.checksum': `sha256:${'0'.repeat(64)}` };
    const other = await failure(build(Dockerfile, [convert(`${web.url}/tool`, `${web.url}/tool`, checksum)]));
    expect([other.code, other.details?.['line']]).toEqual(['BUILD_CHECKSUM_MISMATCH', 2]);
  });

  test('holds for contexts, sent and by address', async () => {
    const sent = await failure(build('FROM scratch\nCOPY a /', [deny('local://*')]));
    expect([sent.code, sent.message]).toEqual(['BUILD_SOURCE_DENIED', expect.stringContaining('local://context')]);
    web.files.set('/Dockerfile', { body: 'FROM base:1\nCOPY <<a /made\nhere\na\n' });
    const context = { url: `${web.url}/old/Dockerfile` };
    const moved = await build('', [convert('*/old/*', '$1/$2')], { context });
    expect(await textOf(await f.tree(moved.result.digest), 'made')).toBe('here\n');
    expect((await failure(build('', [deny('http://*')], { context }))).code).toBe('BUILD_SOURCE_DENIED');
  });

  test('says of git what BuildKit says of it', async () => {
    const Dockerfile = 'FROM scratch\nADD https://127.0.0.1:9/a.git#main:docs /';
    const denied = await failure(build(Dockerfile, [deny('git://127.0.0.1:9/a.git#main:docs')]));
    expect(denied.code).toBe('BUILD_SOURCE_DENIED');
    const moved = convert('git://127.0.0.1:9/a.git*', `git://127.0.0.1:${web.port}/b.git$1`);
    const asked = await failure(build(Dockerfile.replace('https', 'http'), [moved]));
    expect(asked.message).toContain('/b.git');
  });
});
