/** What no template of Wharf may do, and the exceptions with their reasons. */
import type { TemplateResources } from './cloudformation-schema.js';

interface Statement {
  readonly Effect: string;
  readonly Action?: string | readonly string[];
  readonly Resource?: unknown;
}

/** Actions that IAM cannot narrow to a resource (service authorization reference), and who needs them. */
const WITHOUT_RESOURCE: Readonly<Record<string, string>> = {
  'ecs:DescribeTaskDefinition': 'control plane',
  'ecs:RegisterTaskDefinition': 'control plane',
  'ecr:GetAuthorizationToken': 'whoever pulls or pushes',
  'autoscaling:DescribeAutoScalingGroups': 'removal of a group',
  'ecs:DiscoverPollEndpoint': 'the ECS agent, as CDK grants it',
  'ecs:Submit*': 'the ECS agent, as CDK grants it',
  'ecs:Poll': 'the ECS agent, as CDK grants it',
  'ecs:StartTelemetrySession': 'the ECS agent, as CDK grants it',
  'logs:CreateLogStream': 'the ECS agent, as CDK grants it',
  'logs:PutLogEvents': 'the ECS agent, as CDK grants it',
  'ec2:DescribeLaunchTemplateVersions': 'clusters made over the API: it reads',
  'ec2:RunInstances': 'clusters made over the API: by a condition, from the one launch template',
  'ec2:CreateTags': 'clusters made over the API: by a condition, of what is launched',
  'ssmmessages:CreateControlChannel': 'ECS Exec of a service that asks for it',
};

/** State that goes with its stack on purpose, by type and logical id. */
const MAY_GO: readonly { readonly type: RegExp; readonly id: RegExp; readonly why: string }[] = [
  { type: /^AWS::Logs::LogGroup$/, id: /./, why: 'logs are kept for a stated time, and tell of what is gone' },
  { type: /^AWS::SQS::Queue$/, id: /./, why: 'messages name records; records are kept, and a sweep sends them again' },
  { type: /^AWS::(S3|DynamoDB|SecretsManager)::/, id: /^WharfImageBuilderStore/, why: 'a cache: images lie in ECR' },
  { type: /^AWS::S3::Bucket$/, id: /BalancerAccessLogs/, why: 'access logs, kept for a stated time' },
  { type: /^AWS::ECR::Repository$/, id: /./, why: 'the folder gives the same image again' },
  { type: /^AWS::EC2::(VPC|Subnet|Volume|Instance)$/, id: /./, why: 'instances keep nothing; the network has no data' },
];

const ENCRYPTED: Readonly<Record<string, readonly string[]>> = {
  'AWS::S3::Bucket': ['BucketEncryption'],
  'AWS::DynamoDB::GlobalTable': ['SSESpecification'],
  'AWS::SQS::Queue': ['SqsManagedSseEnabled', 'KmsMasterKeyId'],
  'AWS::Logs::LogGroup': ['RetentionInDays'],
};

export function unexplainedWildcards(resources: TemplateResources): readonly string[] {
  return statements(resources).flatMap(({ id, statement }) => {
    if (statement.Effect !== 'Allow') return [];
    const isWide = [statement.Resource].flat().includes('*');
    return [statement.Action ?? []]
      .flat()
      .filter((action) => action === '*' || /^[a-z0-9]+:\*$/.test(action) || (isWide && !(action in WITHOUT_RESOURCE)))
      .map((action) => `${id}: ${action}${isWide ? ' on *' : ''}`);
  });
}

function statements(resources: TemplateResources): readonly { readonly id: string; readonly statement: Statement }[] {
  return Object.entries(resources).flatMap(([id, { Type, Properties = {} }]) => {
    if (!/^AWS::IAM::(Policy|ManagedPolicy|Role)$/.test(Type)) return [];
    const inline = (Properties['Policies'] ?? []) as readonly { readonly PolicyDocument: unknown }[];
    const documents = [Properties['PolicyDocument'], ...inline.map(({ PolicyDocument }) => PolicyDocument)];
    return documents.flatMap((document) =>
      ((document as { Statement?: Statement[] } | undefined)?.Statement ?? []).map((statement) => ({ id, statement })),
    );
  });
}

/** Settings named like secrets may hold ARNs and references, never the value. */
export function plainSecrets(resources: TemplateResources): readonly string[] {
  return Object.entries(resources).flatMap(([id, { Type, Properties = {} }]) => {
    const text = JSON.stringify(Properties);
    const resolved = /resolve:(secretsmanager|ssm-secure)|"SecretString":/.test(text)
      ? [`${id}: a secret's value`]
      : [];
    const plain = settingsOf(Type, Properties).filter(
      (name) => /TOKEN|KEY|SECRET|PASSWORD/.test(name) && !name.endsWith('_ARN'),
    );
    return [...resolved, ...plain.map((name) => `${id}: ${name} is plain text`)];
  });
}

/** Names of what functions and containers are told. */
function settingsOf(type: string, properties: Readonly<Record<string, unknown>>): readonly string[] {
  if (type === 'AWS::Lambda::Function') {
    const { Variables = {} } = (properties['Environment'] ?? {}) as { Variables?: Record<string, unknown> };
    return Object.keys(Variables);
  }
  if (type !== 'AWS::ECS::TaskDefinition') return [];
  const containers = (properties['ContainerDefinitions'] ?? []) as readonly {
    readonly Environment?: readonly { readonly Name: string }[];
  }[];
  return containers.flatMap(({ Environment = [] }) => Environment.map(({ Name }) => Name));
}

export function removedState(resources: TemplateResources, isStateful: (type: string) => boolean): readonly string[] {
  return Object.entries(resources).flatMap(([id, { Type, DeletionPolicy }]) => {
    if (!isStateful(Type) || DeletionPolicy === 'Retain') return [];
    if (MAY_GO.some((rule) => rule.type.test(Type) && rule.id.test(id))) return [];
    return [`${id} (${Type}) is deleted with its stack`];
  });
}

export function unencrypted(resources: TemplateResources): readonly string[] {
  return Object.entries(resources).flatMap(([id, { Type, Properties = {} }]) => {
    const wanted = ENCRYPTED[Type] ?? [];
    // DynamoDB says it per table, with the key per replica.
    if (wanted.length === 0 || wanted.some((name) => name in Properties)) return [];
    return [`${id}: ${wanted.join(' or ')} is wanted`];
  });
}
