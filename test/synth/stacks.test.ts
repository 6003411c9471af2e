/** What the three synthesised stacks promise, checked on the templates themselves. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Synthesis, synthesise } from './synthesis.js';

const STACKS = ['WharfStorage', 'WharfCapacity', 'WharfPlatform'];

/** Actions that IAM cannot narrow to a resource (service authorization reference), and who holds them. */
const WITHOUT_RESOURCE = new Set([
  'ecs:ListServices',
  'ecs:DescribeTaskDefinition',
  'ecs:RegisterTaskDefinition',
  'ecs:DeregisterTaskDefinition',
  // What CDK grants the ECS agent of an instance.
  'ecs:DiscoverPollEndpoint',
  'ecr:GetAuthorizationToken',
  'logs:CreateLogStream',
  'logs:PutLogEvents',
  'ecs:Submit*',
  'ecs:Poll',
  'ecs:StartTelemetrySession',
]);

let synthesis: Synthesis;
beforeAll(() => {
  synthesis = synthesise();
}, 120_000);
afterAll(() => synthesis.remove());

interface Statement {
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
}

function statements(stack: string): readonly Statement[] {
  return synthesis
    .ofType(stack, 'AWS::IAM::Policy')
    .flatMap((policy) => (policy.Properties['PolicyDocument'] as { Statement: Statement[] }).Statement);
}

describe('the synthesised stacks', () => {
  test('are three, and cdk-nag has no open finding', () => {
    for (const stack of STACKS) expect(existsSync(join(synthesis.directory, `${stack}.template.json`))).toBe(true);
    const report = synthesis.readJson('validation-report.json') as { pluginReports: { conclusion: string }[] };
    expect(report.pluginReports.map((plugin) => plugin.conclusion)).not.toContain('failure');
  });

  test('need no image to be built by docker', () => {
    for (const stack of STACKS) {
      const assets = synthesis.readJson(`${stack}.assets.json`) as { dockerImages?: object };
      expect(assets.dockerImages ?? {}).toEqual({});
    }
  });

  test('grant no action on every resource, but for those that IAM cannot narrow', () => {
    const wide = STACKS.flatMap(statements)
      .filter((statement) => statement.Effect === 'Allow')
      .filter((statement) => [statement.Resource].flat().includes('*'))
      .flatMap((statement) => [statement.Action].flat());
    expect(wide.filter((action) => !WITHOUT_RESOURCE.has(action))).toEqual([]);
    const all = STACKS.flatMap(statements).flatMap((statement) => [statement.Action].flat());
    expect(all.filter((action) => action === '*' || /^[a-z0-9]+:\*$/.test(action))).toEqual([]);
  });

  test('keep the bucket, the table and the secrets when they are deleted', () => {
    const stateful = /^AWS::(S3::Bucket|DynamoDB::GlobalTable|SecretsManager::Secret)$/;
    const kept = Object.values(synthesis.resources('WharfStorage')).filter((resource) => stateful.test(resource.Type));
    expect(kept).toHaveLength(5);
    for (const resource of kept) expect(resource).toMatchObject({ DeletionPolicy: 'Retain' });
  });

  test('give every queue of work its dead letters', () => {
    const queues = synthesis.ofType('WharfPlatform', 'AWS::SQS::Queue');
    const withRedrive = queues.filter((queue) => queue.Properties['RedrivePolicy'] !== undefined);
    expect([queues.length, withRedrive.length]).toEqual([4, 2]);
  });

  test('run the functions on arm64 with a role each', () => {
    const functions = synthesis
      .ofType('WharfPlatform', 'AWS::Lambda::Function')
      .filter((fn) => (fn.Properties['Architectures'] as string[] | undefined)?.[0] === 'arm64');
    expect(functions).toHaveLength(4);
    expect(new Set(functions.map((fn) => JSON.stringify(fn.Properties['Role']))).size).toBe(4);
  });

  test('start instances from the newest Amazon Linux 2023 by parameter, with IMDSv2 only', () => {
    const [template] = synthesis.ofType('WharfCapacity', 'AWS::EC2::LaunchTemplate');
    expect(template?.Properties['LaunchTemplateData']).toMatchObject({
      MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1 },
    });
    const parameters = synthesis.readJson('WharfCapacity.template.json') as {
      Parameters: Record<string, { Default?: string }>;
    };
    const defaults = Object.values(parameters.Parameters).map((parameter) => parameter.Default);
    expect(defaults).toContain('/aws/service/ecs/optimized-ami/amazon-linux-2023/arm64/recommended/image_id');
  });
});
