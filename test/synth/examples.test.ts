/**
 * The app and every CDK example: type-checked as their readers would, synthesised in one process without Docker,
 * credentials or look-ups, and every template proved as far as that goes without an account.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CloudFormationSchema } from './cloudformation-schema.js';
import { cloudFormationFindings, nagFindings, nagPacks } from './nag-findings.js';
import { LASTING_IDS, lastingIds } from './lasting-ids.js';
import { type Synthesis, synthesiseAll } from './synthesis.js';
import { plainSecrets, removedState, unencrypted, unexplainedWildcards } from './template-rules.js';

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
  'cdk-spot': { stack: 'Cheap', counts: { 'AWS::AutoScaling::AutoScalingGroup': 1 } },
  'cdk-own-vpc': {
    stack: 'Platform',
    counts: { 'AWS::EC2::VPC': 0, 'AWS::CloudWatch::Alarm': 7, 'AWS::CloudWatch::Dashboard': 1 },
  },
  'cdk-service': { stack: 'Shop', counts: { 'Custom::WharfService': 1, 'AWS::ECS::Service': 0 } },
  'cdk-registry-front': {
    stack: 'Images',
    counts: {
      'AWS::ElasticLoadBalancingV2::LoadBalancer': 1,
      'AWS::ECS::Service': 1,
      'Custom::WharfDockerfileImage': 1,
    },
  },
  'cdk-accounts': { stack: 'Production', counts: { 'AWS::ECS::Service': 1, 'AWS::ECR::Repository': 0 } },
};
const APPS = ['bin/app.ts', ...Object.keys(EXAMPLES).map((name) => `examples/${name}/app.ts`)];

let made: ReadonlyMap<string, Synthesis> | undefined;
let schema: CloudFormationSchema;
beforeAll(() => {
  const all = synthesiseAll(APPS, { bundles: false, nag: true });
  made = new Map(all.map((synthesis, index) => [APPS[index] ?? '', synthesis]));
  schema = new CloudFormationSchema();
}, 240_000);
afterAll(() => made?.forEach((synthesis) => synthesis.remove()));

function synthesisOf(app: string): Synthesis {
  const synthesis = made?.get(app);
  if (synthesis === undefined) throw new Error(`${app} was not synthesised`);
  return synthesis;
}

/** What a rule finds in the templates of an app. */
function found(app: string, rule: (resources: ReturnType<Synthesis['resources']>) => readonly string[]): string[] {
  const synthesis = synthesisOf(app);
  return synthesis.stacks.flatMap((stack) => rule(synthesis.resources(stack)).map((one) => `${stack}: ${one}`));
}

describe('the examples for CDK', () => {
  test('are all tried here', () => {
    const names = readdirSync('examples').filter((name) => name.startsWith('cdk-'));
    expect(names.sort()).toEqual(Object.keys(EXAMPLES).sort());
  });

  test('hold under the compiler, as a CDK app is checked', () => {
    const { status, stdout } = spawnSync('node_modules/.bin/tsc', ['-p', 'examples'], { encoding: 'utf8' });
    expect([status, stdout]).toEqual([0, '']);
  }, 120_000);

  test.each(Object.entries(EXAMPLES))('%s makes what it says', (name, { stack, counts }) => {
    const synthesis = synthesisOf(`examples/${name}/app.ts`);
    const types = Object.keys(counts).map((type) => [type, synthesis.ofType(stack, type).length]);
    expect(Object.fromEntries(types)).toEqual(counts);
  });
});

test('a service in a template of its own is as stored', () => {
  const template = JSON.stringify(synthesisOf('examples/cdk-service/app.ts').readJson('Shop.template.json'));
  expect(JSON.parse(template.replaceAll(/[0-9a-f]{64}/g, '<asset>'))).toMatchSnapshot();
});

describe.each(APPS)('the templates of %s', (app) => {
  test('need no Docker and no look-up', () => {
    expect(synthesisOf(app).calledDocker).toBe(false);
    expect((synthesisOf(app).readJson('manifest.json') as { missing?: unknown }).missing).toBeUndefined();
  });

  test('hold under the resource schemas of CloudFormation', () => {
    expect(found(app, (resources) => schema.problems(resources))).toEqual([]);
  });

  test('hold under the rules of CloudFormation that CDK brings', () => {
    expect(cloudFormationFindings(synthesisOf(app))).toEqual([]);
  });

  test('grant nothing on every resource but what IAM cannot narrow, and no whole service', () => {
    expect(found(app, unexplainedWildcards)).toEqual([]);
  });

  test('hold no secret as plain text', () => {
    expect(found(app, plainSecrets)).toEqual([]);
  });

  test('retain what keeps data, or say why not', () => {
    expect(found(app, (resources) => removedState(resources, (type) => schema.isStateful(type)))).toEqual([]);
  });

  test('encrypt what they store, and log for a stated time', () => {
    expect(found(app, unencrypted)).toEqual([]);
  });

  test('have no finding of cdk-nag that nobody explained', () => {
    expect(nagPacks(synthesisOf(app))).toContain('HIPAA.Security');
    expect(nagFindings(synthesisOf(app))).toEqual([]);
  });

  test('call what is to last by the ids that it was deployed under, and replace none of it', () => {
    const synthesis = synthesisOf(app);
    const ids = synthesis.stacks.map((stack) => [stack, lastingIds(synthesis.resources(stack), schema)] as const);
    expect(Object.fromEntries(ids.filter(([, kept]) => kept.length > 0))).toEqual(LASTING_IDS[app] ?? {});
  });
});

/** Each resource with a digest of what is said of it: what a change of a construct touches shows, how in the stacks of the app. */
function digests(app: string): Readonly<Record<string, readonly string[]>> {
  const synthesis = synthesisOf(app);
  const lines = synthesis.stacks.toSorted().map((stack) => {
    const resources = Object.entries(synthesis.resources(stack)).map(([id, { Type, ...said }]) => {
      const text = JSON.stringify(said).replaceAll(/[0-9a-f]{64}/g, '<asset>');
      return `${id} ${Type} ${createHash('sha256').update(text).digest('hex').slice(0, 12)}`;
    });
    return [stack, resources.toSorted()] as const;
  });
  return Object.fromEntries(lines);
}

test.each(APPS.filter((app) => app !== 'bin/app.ts'))('the stacks of %s are as stored', (app) => {
  expect(digests(app)).toMatchSnapshot();
});

describe('the policy for CloudFormation in docs/aws', () => {
  interface Policy {
    readonly Statement: readonly { readonly Action: string | readonly string[] }[];
  }
  const policy = JSON.parse(readFileSync('docs/aws/execution-policy.json', 'utf8')) as Policy;
  const actions = policy.Statement.flatMap(({ Action }) => Action);
  const given = new Set(actions.map((action) => action.slice(0, action.indexOf(':'))));
  /** Services whose name in IAM is another than in CloudFormation. */
  const IN_IAM: Readonly<Record<string, string>> = {
    apigatewayv2: 'apigateway',
    elasticloadbalancingv2: 'elasticloadbalancing',
    stepfunctions: 'states',
  };
  /** What examples have beside Wharf. */
  const OF_EXAMPLES = new Set(['batch', 'cdk', 'sns']);
  const needed = (app: string): readonly string[] =>
    synthesisOf(app).stacks.flatMap((stack) =>
      Object.values(synthesisOf(app).resources(stack)).map(({ Type }) => {
        const service = Type.startsWith('Custom::') ? 'lambda' : (Type.split('::')[1] ?? '').toLowerCase();
        return IN_IAM[service] ?? service;
      }),
    );

  test('has every service that a template is made of, and no other', () => {
    const services = new Set(APPS.flatMap(needed));
    expect([...services].filter((service) => !given.has(service) && !OF_EXAMPLES.has(service))).toEqual([]);
    // RegistryDomain, which no example has, the parameters of templates, and what handlers ask for beside their service.
    expect([...given].filter((service) => !services.has(service)).sort()).toEqual([
      ...['application-autoscaling', 'cloudfront', 'kms', 'ssm'],
    ]);
  });

  test('lets it make roles named after the stacks of the app, which all of them are', () => {
    const { stacks } = synthesisOf('bin/app.ts');
    expect(stacks.filter((stack) => !stack.startsWith('Wharf'))).toEqual([]);
    const roles = stacks.flatMap((stack) => synthesisOf('bin/app.ts').ofType(stack, 'AWS::IAM::Role'));
    expect(roles.filter(({ Properties }) => 'RoleName' in Properties || 'Path' in Properties)).toEqual([]);
  });
});

describe('the policy for people in docs/aws', () => {
  const policy = readFileSync('docs/aws/deploy-policy.json', 'utf8');

  test('lets them act as every role of bootstrap that the deployment of the app asks for', () => {
    const synthesis = synthesisOf('bin/app.ts');
    const documents = readdirSync(synthesis.directory).filter((name) => /^manifest\.json$|\.assets\.json$/.test(name));
    const asked = documents
      .flatMap((name) => [...JSON.stringify(synthesis.readJson(name)).matchAll(/:role\/(cdk-[^"]+)"/g)])
      .map(([, role = '']) => role.replaceAll('${AWS::AccountId}', 'ACCOUNT').replaceAll('${AWS::Region}', 'REGION'));
    const missing = [...new Set(asked)].filter((role) => !policy.includes(`:role/${role}"`));
    expect([asked.length > 0, missing.filter((role) => !role.includes('-cfn-exec-role-'))]).toEqual([true, []]);
  });

  test('lets them read the first token, by the name that CloudFormation gives its secret', () => {
    const secrets = Object.keys(synthesisOf('bin/app.ts').resources('WharfStorage'));
    const [, name = ''] = /:secret:(\w+)\*"/.exec(policy) ?? [];
    expect(secrets.filter((id) => id.startsWith(name))).toHaveLength(1);
  });
});

describe('the rules themselves', () => {
  test('of CDK have looked: what has nothing to be told of is in no report', () => {
    expect(APPS.flatMap((app) => nagPacks(synthesisOf(app)))).toContain('CloudFormation Validate');
  });

  const queue = (Properties: Record<string, unknown>) => ({ Type: 'AWS::SQS::Queue', Properties });

  test('see that a table has other keys, or a bucket a name, and would be replaced', () => {
    const table = { Type: 'AWS::DynamoDB::GlobalTable', Properties: { KeySchema: [], BillingMode: 'PAY_PER_REQUEST' } };
    const bucket = { Type: 'AWS::S3::Bucket', Properties: { BucketName: 'blobs', Tags: [] } };
    expect(lastingIds({ Table: table, Bucket: bucket }, schema)).toEqual([
      'Bucket AWS::S3::Bucket BucketName=blobs',
      'Table AWS::DynamoDB::GlobalTable KeySchema=[]',
    ]);
  });

  test('see a property, a type, an attribute and a reference that are not there', () => {
    const problems = schema.problems({
      A: queue({ VisibilityTimout: 1 }),
      B: queue({ VisibilityTimeout: 'soon' }),
      C: { Type: 'AWS::SQS::Cue', Properties: {} },
      D: queue({ QueueName: { 'Fn::GetAtt': ['A', 'Name'] }, KmsMasterKeyId: { 'Fn::GetAtt': ['Gone', 'Arn'] } }),
      E: { Type: 'AWS::Lambda::Function', Properties: { Code: { S3Bucket: 'b' } } },
    });
    expect(problems).toEqual([
      'A (AWS::SQS::Queue): there is no property VisibilityTimout',
      'B (AWS::SQS::Queue).VisibilityTimeout: "soon" is not a number',
      'C: there is no type AWS::SQS::Cue',
      'D: AWS::SQS::Queue has no attribute Name',
      'D: there is no resource Gone',
      'E (AWS::Lambda::Function): Role is required',
    ]);
  });

  test('see a secret among the settings of a container', () => {
    const ContainerDefinitions = [
      {
        Environment: [
          { Name: 'DB_PASSWORD', Value: 'x' },
          { Name: 'KEY_ARN', Value: 'arn:x' },
        ],
      },
    ];
    const resources = { Task: { Type: 'AWS::ECS::TaskDefinition', Properties: { ContainerDefinitions } } };
    expect(plainSecrets(resources)).toEqual(['Task: DB_PASSWORD is plain text']);
  });

  test('see a right that is too wide, a secret, a table that goes, a bucket in the clear', () => {
    const Statement = [{ Effect: 'Allow', Action: ['s3:*', 'sqs:SendMessage'], Resource: '*' }];
    const resources = {
      Policy: { Type: 'AWS::IAM::Policy', Properties: { PolicyDocument: { Statement } } },
      Function: {
        Type: 'AWS::Lambda::Function',
        Properties: { Environment: { Variables: { API_TOKEN: 'abc', PASSWORD_ARN: 'arn:x' } } },
      },
      Table: { Type: 'AWS::DynamoDB::GlobalTable', Properties: {}, DeletionPolicy: 'Delete' },
      Bucket: { Type: 'AWS::S3::Bucket', Properties: {} },
    };
    expect(unexplainedWildcards(resources)).toEqual(['Policy: s3:* on *', 'Policy: sqs:SendMessage on *']);
    expect(plainSecrets(resources)).toEqual(['Function: API_TOKEN is plain text']);
    expect(removedState(resources, (type) => schema.isStateful(type))).toEqual([
      'Table (AWS::DynamoDB::GlobalTable) is deleted with its stack',
      'Bucket (AWS::S3::Bucket) is deleted with its stack',
    ]);
    expect(unencrypted(resources)).toEqual(['Table: SSESpecification is wanted', 'Bucket: BucketEncryption is wanted']);
  });
});
