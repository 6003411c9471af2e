/** The CDK examples: type-checked as their readers would, and synthesised without Docker, credentials or look-ups. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { synthesise } from './synthesis.js';

interface Expected {
  readonly stack: string;
  /** How many resources of a type. */
  readonly counts: Readonly<Record<string, number>>;
}

const EXAMPLES: Readonly<Record<string, Expected>> = {
  'cdk-platform': { stack: 'Team', counts: { 'AWS::DynamoDB::GlobalTable': 1, 'AWS::ApiGatewayV2::Api': 1 } },
  'cdk-builder-only': {
    stack: 'Builds',
    counts: { 'AWS::Lambda::EventSourceMapping': 1, 'AWS::ApiGatewayV2::Api': 0 },
  },
  'cdk-dockerfile-image': { stack: 'Greeting', counts: { 'Custom::WharfDockerfileImage': 1, 'AWS::ECS::Service': 1 } },
  'cdk-dockerfile-lambda': { stack: 'Handler', counts: { 'Custom::WharfDockerfileImage': 1 } },
};

const CHECK_MS = 120_000;

describe('the examples for CDK', () => {
  test('are all tried here', () => {
    const found = readdirSync('examples').filter((name) => name.startsWith('cdk-'));
    expect(found.sort()).toEqual(Object.keys(EXAMPLES).sort());
  });

  test(
    'hold under the compiler, as a CDK app is checked',
    () => {
      const { status, stdout } = spawnSync('node_modules/.bin/tsc', ['-p', 'examples'], { encoding: 'utf8' });
      expect([status, stdout]).toEqual([0, '']);
    },
    CHECK_MS,
  );

  test.each(Object.entries(EXAMPLES))(
    '%s synthesises',
    (name, { stack, counts }) => {
      const made = synthesise({ app: `examples/${name}/app.ts`, bundles: false });
      try {
        const found = Object.keys(counts).map((type) => [type, made.ofType(stack, type).length]);
        expect(Object.fromEntries(found)).toEqual(counts);
        expect(made.calledDocker).toBe(false);
        expect((made.readJson('manifest.json') as { missing?: unknown }).missing).toBeUndefined();
      } finally {
        made.remove();
      }
    },
    CHECK_MS,
  );
});
