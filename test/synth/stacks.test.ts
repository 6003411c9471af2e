/** What the three synthesised stacks promise, checked on the templates themselves. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Synthesis, synthesise } from './synthesis.js';
import { unexplainedWildcards } from './template-rules.js';

const STACKS = ['WharfStorage', 'WharfCapacity', 'WharfPlatform'];

let synthesis: Synthesis;
beforeAll(() => {
  synthesis = synthesise();
}, 120_000);
afterAll(() => synthesis.remove());

interface Statement {
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
  readonly Condition?: unknown;
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

  test('are made without looking anything up, and without asking for docker', () => {
    const manifest = synthesis.readJson('manifest.json') as { missing?: unknown };
    expect(manifest.missing).toBeUndefined();
    expect(existsSync('cdk.context.json')).toBe(false);
    expect(synthesis.calledDocker).toBe(false);
  });

  test('need no image to be built by docker', () => {
    for (const stack of STACKS) {
      const assets = synthesis.readJson(`${stack}.assets.json`) as { dockerImages?: object };
      expect(assets.dockerImages ?? {}).toEqual({});
    }
  });

  test('grant no action on every resource, but for those that IAM cannot narrow', () => {
    expect(STACKS.flatMap((stack) => unexplainedWildcards(synthesis.resources(stack)))).toEqual([]);
  });

  test('let nobody pass a role but those for tasks, and only to ECS; the one of workers, the builder alone', () => {
    const passing = STACKS.flatMap(statements).filter(({ Action }) => [Action].flat().includes('iam:PassRole'));
    expect(passing).toHaveLength(3);
    const execution = { 'Fn::GetAtt': [expect.stringMatching(/ExecutionRole/), 'Arn'] };
    const worker = { 'Fn::GetAtt': [expect.stringMatching(/WorkersRole/), 'Arn'] };
    expect(passing.map(({ Resource }) => Resource)).toEqual([[worker, execution], execution, execution]);
    for (const { Condition } of passing) {
      expect(Condition).toEqual({ StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' } });
    }
  });

  test('bind what they may do in ECS to the one cluster', () => {
    const acting = STACKS.flatMap(statements).filter(({ Action }) =>
      [Action]
        .flat()
        .some((action) => /^ecs:(CreateService|UpdateService|DeleteService|StopTask|RunTask)$/.test(action)),
    );
    expect(acting.length).toBeGreaterThan(0);
    for (const statement of acting) {
      expect(statement).toMatchObject({ Condition: { ArnEquals: { 'ecs:cluster': expect.anything() } } });
    }
  });

  test('put no secret into an environment or a template', () => {
    for (const stack of STACKS) {
      const template = JSON.stringify(synthesis.readJson(`${stack}.template.json`));
      expect(template).not.toMatch(/resolve:(secretsmanager|ssm-secure)|"SecretString":/);
    }
    for (const fn of synthesis.ofType('WharfPlatform', 'AWS::Lambda::Function')) {
      const { Variables = {} } = (fn.Properties['Environment'] ?? {}) as { Variables?: Record<string, unknown> };
      for (const name of Object.keys(Variables)) {
        expect(name).toMatch(/^(WHARF_[A-Z_]+|NODE_OPTIONS|AWS_NODEJS_CONNECTION_REUSE_ENABLED)$/);
        // A secret is named by its ARN, and read by who may.
        if (/TOKEN|KEY|SECRET|PASSWORD/.test(name)) expect(name).toMatch(/_ARN$/);
      }
    }
  });

  test('keep every log for a stated time, and give every function a log group of its own', () => {
    const groups = STACKS.flatMap((stack) => synthesis.ofType(stack, 'AWS::Logs::LogGroup'));
    expect(groups.filter((group) => group.Properties['RetentionInDays'] === undefined)).toEqual([]);
    const functions = synthesis.ofType('WharfPlatform', 'AWS::Lambda::Function');
    const used = functions.map((fn) => JSON.stringify(fn.Properties['LoggingConfig']));
    expect([used.includes('undefined'), new Set(used).size]).toEqual([false, functions.length]);
  });

  test('bound how many functions run at once: by queue, and by requests a second', () => {
    const sources = synthesis.ofType('WharfPlatform', 'AWS::Lambda::EventSourceMapping');
    expect(sources.map(({ Properties }) => Properties['ScalingConfig'])).toEqual([
      { MaximumConcurrency: 10 },
      { MaximumConcurrency: 5 },
    ]);
    for (const { Properties } of sources) {
      expect(Properties['FunctionResponseTypes']).toEqual(['ReportBatchItemFailures']);
    }
    const [stage] = synthesis.ofType('WharfPlatform', 'AWS::ApiGatewayV2::Stage');
    expect(stage?.Properties['DefaultRouteSettings']).toEqual({ ThrottlingBurstLimit: 200, ThrottlingRateLimit: 100 });
  });

  test('send the deployment events, which name no cluster, to the reconciler too', () => {
    const rules = synthesis.ofType('WharfPlatform', 'AWS::Events::Rule').map((rule) => rule.Properties['EventPattern']);
    expect(JSON.stringify(rules)).toMatch(/ECS Deployment State Change.*"prefix":.*service\/wharf\//);
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
    expect(functions).toHaveLength(5);
    expect(new Set(functions.map((fn) => JSON.stringify(fn.Properties['Role']))).size).toBe(5);
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

  test.each(STACKS)('are as stored: %s', (stack) => {
    expect(withoutAssets(synthesis, stack)).toMatchSnapshot();
  });
});

function withoutAssets(from: Synthesis, stack: string): unknown {
  const template = JSON.stringify(from.readJson(`${stack}.template.json`));
  return JSON.parse(template.replaceAll(/[0-9a-f]{64}/g, '<asset>'));
}

describe('a registry front that is asked for', () => {
  test('is a fourth stack, as stored, without an open finding of cdk-nag', () => {
    const front = synthesise({ bundles: false, context: { registryPlainHttp: 'true' } });
    try {
      expect(front.stacks.toSorted()).toEqual([...STACKS, 'WharfRegistry'].toSorted());
      const report = front.readJson('validation-report.json') as { pluginReports: { conclusion: string }[] };
      expect(report.pluginReports.map((plugin) => plugin.conclusion)).not.toContain('failure');
      expect(withoutAssets(front, 'WharfRegistry')).toMatchSnapshot();
    } finally {
      front.remove();
    }
  }, 120_000);
});

describe('a base for workers that is given', () => {
  test('has the platform make their image, without an open finding of cdk-nag', () => {
    const based = synthesise({ bundles: false, context: { workerBaseImage: 'build-worker-base:1' } });
    try {
      expect(based.stacks.toSorted()).toEqual(STACKS.toSorted());
      const report = based.readJson('validation-report.json') as { pluginReports: { conclusion: string }[] };
      expect(report.pluginReports.map((plugin) => plugin.conclusion)).not.toContain('failure');
      expect(based.ofType('WharfPlatform', 'Custom::WharfDockerfileImage')).toHaveLength(1);
    } finally {
      based.remove();
    }
  }, 120_000);
});
