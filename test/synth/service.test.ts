/** Service in templates: what the platform is told, by what rights, and what is refused before anything is deployed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Lazy, Stack } from 'aws-cdk-lib';
import type { Template } from 'aws-cdk-lib/assertions';
import {
  DockerfileImage,
  Edge,
  type IEdge,
  Service,
  ServiceImage,
  type ServiceProps,
  Wharf,
} from '../../lib/constructs/index.js';
import { wantedImage } from '../../lib/host/aws/image-request.js';
import { ofType, onlyOf, testStack } from './unbundled.js';

const SERVICE = 'Custom::WharfService';
const PLATFORM = {
  url: 'https://wharf.example.org/',
  deployTokenArn: 'arn:aws:secretsmanager:eu-central-1:111111111111:secret:DeployToken-AbCdEf',
};
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wharf-service-'));
  writeFileSync(join(folder, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /\nCMD ["/x"]\n');
});
afterAll(() => rmSync(folder, { recursive: true }));

const edgeIn = (stack: Stack): IEdge => Edge.fromEdgeAttributes(stack, 'Platform', PLATFORM);
const image = ServiceImage.fromRegistry('team/web:1');

function serviceIn(stack: Stack, props: Partial<ServiceProps> = {}, id = 'Web'): Service {
  return new Service(stack, id, { edge: edgeIn(stack), image, ...props });
}

function specIn(template: Template): unknown {
  const { Spec } = onlyOf(template, SERVICE) as { Spec: string };
  return JSON.parse(Spec);
}

describe('a service of a template', () => {
  test('is told to the platform as a person would write it, its numbers as numbers', () => {
    const { stack, template } = testStack({ nag: true });
    serviceIn(stack, {
      count: 3,
      ports: [{ container: 80 }],
      env: { A: '1' },
      memoryMiB: 256,
      health: { command: ['/h'] },
    });
    expect(specIn(template())).toEqual({
      image: 'team/web:1',
      count: 3,
      ports: [{ container: 80 }],
      env: { A: '1' },
      memory: 256,
      health: { command: ['/h'] },
    });
    expect(onlyOf(template(), SERVICE)).toMatchObject({ Cluster: 'wharf', ServiceName: 'web' });
  });

  test('is deployed by a function that may read one token, and nothing else', () => {
    const { stack, template } = testStack({ nag: true });
    serviceIn(stack);
    const statements = Object.entries(ofType(template(), 'AWS::IAM::Policy'))
      .filter(([id]) => /ServiceResourceRole/.test(id))
      .flatMap(
        ([, { Properties }]) => (Properties as { PolicyDocument: { Statement: object[] } }).PolicyDocument.Statement,
      );
    expect(statements).toEqual([
      expect.objectContaining({ Action: ['logs:CreateLogStream', 'logs:PutLogEvents'] }),
      expect.objectContaining({
        Action: ['secretsmanager:GetSecretValue', 'secretsmanager:DescribeSecret'],
        Resource: PLATFORM.deployTokenArn,
      }),
    ]);
  });

  test('shares its function with the others of the stack', () => {
    const { stack, template } = testStack();
    const edge = edgeIn(stack);
    for (const id of ['Web', 'Api']) new Service(stack, id, { edge, image });
    template().resourceCountIs(SERVICE, 2);
    template().resourceCountIs('AWS::StepFunctions::StateMachine', 1);
  });

  test('in the stack of its platform uses a token that may deploy and no more, and goes before who answers', () => {
    const { stack, template } = testStack({ nag: true });
    const { edge } = new Wharf(stack, 'Wharf');
    new Service(stack, 'Web', { edge, image });
    const secrets = Object.keys(ofType(template(), 'AWS::SecretsManager::Secret')).join();
    expect(secrets).toMatch(/DeployToken/);
    const functions = Object.values(ofType(template(), 'AWS::Lambda::Function')).map(({ Properties }) =>
      JSON.stringify((Properties as { Environment?: object }).Environment ?? {}),
    );
    expect(functions.filter((environment) => /WHARF_DEPLOY_TOKEN_ARN/.test(environment))).toHaveLength(2);
    expect(
      functions.filter((environment) => /WHARF_API_URL/.test(environment) && /AdminToken/.test(environment)),
    ).toEqual([]);
    const [service] = Object.values(ofType(template(), SERVICE));
    const after = String(service?.['DependsOn']);
    for (const part of ['ApiFunction', 'ApiRoleDefaultPolicy', 'HttpApi', 'ReconcilerFunction', 'CapacityCluster']) {
      expect(after).toContain(part);
    }
  });

  test('in another stack than its platform waits for that, and has its token made there', () => {
    const { app, stack, template } = testStack({ nag: true });
    const base = new Stack(app, 'Base');
    new Service(stack, 'Web', { edge: new Wharf(base, 'Wharf').edge, image });
    const secrets = (of: Stack): string => Object.keys(ofType(template(of), 'AWS::SecretsManager::Secret')).join();
    expect([secrets(base), secrets(stack)]).toEqual([expect.stringMatching(/DeployToken/), '']);
    expect(stack.dependencies).toEqual([base]);
  });

  test('runs an image that the template builds, under the name that the platform keeps it as', () => {
    const { stack, template } = testStack();
    const { edge, builder } = new Wharf(stack, 'Wharf');
    const built = new DockerfileImage(stack, 'Image', { directory: folder, builder });
    new Service(stack, 'Web', { edge, image: ServiceImage.fromDockerfileImage(built) });
    const { Spec } = onlyOf(template(), SERVICE) as { Spec: object };
    const properties = onlyOf(template(), 'Custom::WharfDockerfileImage') as Record<string, unknown>;
    const named = wantedImage({ ...properties, ContextBucket: 'assets', Repository: 'REPOSITORY' }).source.repository;
    const [before, after] = named.split('REPOSITORY');
    expect(JSON.stringify(Spec)).toContain(`${before}",{"Ref":"ImageRepository`);
    expect(after).toBe('');
  });

  test('does not take an image that the platform cannot read', () => {
    const { stack } = testStack();
    const built = new DockerfileImage(stack, 'Image', { directory: folder });
    expect(() => serviceIn(stack, { image: ServiceImage.fromDockerfileImage(built) })).toThrow(
      /Test\/Web: the image Test\/Image is built into another store.*builder: wharf\.builder/,
    );
  });

  test.each<[string, Partial<ServiceProps>, RegExp]>([
    [
      'a name that is no DNS label',
      { serviceName: 'Web_1' },
      /Test\/Web: serviceName "Web_1" is not 1 to 32 lower-case letters/,
    ],
    ['less than none', { count: -1 }, /Test\/Web: count: /],
    ['half a container', { count: 1.5 }, /count: /],
    [
      'a number that only a deployment knows',
      { count: Lazy.number({ produce: () => 2 }) },
      /count is known only when the stack is deployed/,
    ],
    ['a port that is none', { ports: [{ container: 70_000 }] }, /ports\.0\.container: /],
    ['a port named twice', { ports: [{ container: 80 }, { container: 80 }] }, /container port 80\/tcp is named twice/],
    ['a variable without a name', { env: { '': 'x' } }, /env/],
    ['health of nothing', { health: { command: [] } }, /health/],
    ['no memory', { memoryMiB: 0 }, /memoryMiB: /],
  ])('refuses %s, where it stands', (_, props, message) => {
    expect(() => serviceIn(testStack().stack, props)).toThrow(message);
  });
});
