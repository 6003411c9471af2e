/** The operator's source policy of a deployed builder: from the props of a construct to a build that it refuses. */
import { expect, test } from '@jest/globals';
import { type BuilderSourcePolicy, ImageBuilder, ImageStore, Wharf } from '../../lib/constructs/index.js';
import { openImageBuilder } from '../../lib/host/aws/image-builder.js';
import { operatorsPolicy } from '../../lib/host/aws/source-policy.js';
import { silentLogger } from '../../lib/store/index.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { buildFixture, failure } from '../build/fixture.js';
import { ofType, testStack } from './unbundled.js';

const POLICY: BuilderSourcePolicy = {
  rules: [
    { action: 'DENY', selector: { identifier: 'docker-image://*' } },
    { action: 'ALLOW', selector: { identifier: 'docker-image://docker.io/library/base:*' } },
  ],
};

function variables(make: (stack: ReturnType<typeof testStack>['stack']) => unknown): (string | undefined)[] {
  const { stack, template } = testStack({ nag: true });
  make(stack);
  return Object.values(ofType(template(), 'AWS::Lambda::Function')).flatMap(({ Properties }) => {
    const { Environment } = Properties as { Environment?: { Variables: Readonly<Record<string, string>> } };
    return 'WHARF_DOCKER_HUB' in (Environment?.Variables ?? {}) ? [Environment?.Variables['WHARF_SOURCE_POLICY']] : [];
  });
}

const builderWith = (sourcePolicy: BuilderSourcePolicy) => (stack: ReturnType<typeof testStack>['stack']) =>
  new ImageBuilder(stack, 'Builder', { store: new ImageStore(stack, 'Store'), sourcePolicy });

test('is given to the builder function, and to no builder that has none', () => {
  const [packed] = variables(builderWith(POLICY));
  expect(operatorsPolicy(packed)).toEqual({ sourcePolicy: POLICY });
  expect(variables((stack) => new Wharf(stack, 'Wharf', { sourcePolicy: POLICY }))).toEqual([packed]);
  expect(variables((stack) => new Wharf(stack, 'Wharf'))).toEqual([undefined]);
  expect(operatorsPolicy(undefined)).toEqual({});
});

test('is refused while the template is made when it is none, or too large for a variable', () => {
  const wrong = { rules: [{ action: 'FORBID', selector: { identifier: '*' } }] } as unknown as BuilderSourcePolicy;
  expect(() => variables(builderWith(wrong))).toThrow(/^Test\/Builder: sourcePolicy\.rules\[0\]\.action: .*BuildKit's/);
  const unknown = { rules: [], allow: 'all' } as BuilderSourcePolicy;
  expect(() => variables(builderWith(unknown))).toThrow(/sourcePolicy: .*allow/);
  const rules = Array.from({ length: 400 }, (_, i) => ({
    selector: { identifier: `docker-image://${((i + 1) * 7919).toString(36)}.example.org/${i * i}` },
  }));
  expect(() => variables(builderWith({ rules }))).toThrow(/400 rules, \d+ characters when packed: at most 2560 fit/);
});

test("holds in the function's builds, whatever a request says", async () => {
  const f = await buildFixture();
  try {
    await f.push('base', { file: 'x' });
    await f.push('other', { file: 'x' });
    const secrets = new RecordsSecretStore(f.store.records, { key: Buffer.alloc(32, 7) });
    const [sourcePolicy = ''] = variables(builderWith(POLICY));
    const options = { platform: 'linux/amd64', dockerHub: 'no', hasWorkers: false, sourcePolicy };
    const build = openImageBuilder({ ...f.store, secrets, logger: silentLogger }, f.registry, options);
    const from = async (base: string) => {
      const context = await f.context({ Dockerfile: `FROM ${base}\nCOPY a /`, a: '' });
      const allowing = { rules: [{ action: 'ALLOW' as const, selector: { identifier: '*' } }] };
      const call = { id: 'b', emit: () => {}, signal: new AbortController().signal };
      return build({ context, tags: ['made'], sourcePolicy: allowing }, call);
    };
    expect(await from('base')).toMatchObject({ tags: ['made:latest'] });
    const refused = await failure(from('other'));
    expect([refused.code, refused.details?.['line']]).toEqual(['BUILD_SOURCE_DENIED', 1]);
    expect(refused.message).toContain("this builder's source policy");
  } finally {
    await f.close();
  }
});
