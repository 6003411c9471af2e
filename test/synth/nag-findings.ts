/** What cdk-nag says of synthesised apps, and which of it stays as it is, with the reasons. */
import type { Synthesis } from './synthesis.js';

interface Report {
  readonly pluginReports: readonly {
    readonly pluginName: string;
    readonly violations: readonly {
      readonly ruleName: string;
      readonly violatingConstructs: readonly { readonly constructPath?: string }[];
    }[];
  }[];
}

interface Accepted {
  readonly rule: RegExp;
  /** Of the construct. */
  readonly path: RegExp;
  readonly why: string;
}

/** Of HIPAA Security those rules that ask for encryption and for logs; the others ask for what an account decides. */
const ENCRYPTION_OR_LOGS = /^HIPAA\.Security-.*(Encrypt|KMS|Logg|LogGroup|FlowLogs|SSL|TLS|Https|Certificate)/i;

const ACCEPTED: readonly Accepted[] = [
  {
    rule: /(CloudWatchLogGroupEncrypted|S3DefaultEncryptionKMS|SecretsManagerUsingKMSKey)$/,
    path: /./,
    why: "encrypted by the service's own key: a key of one's own comes with the bucket, log group or secret handed in",
  },
  { rule: /S3BucketLoggingEnabled$/, path: /\/AccessLogs\//, why: 'it receives access logs' },
  {
    rule: /(SNSEncryptedKMS|VPCFlowLogsEnabled|AwsSolutions-VPC7|AwsSolutions-ECS4)$/,
    path: /^(Platform\/OnCall|Greeting\/Vpc|Greeting\/Cluster|Production\/Cluster)\//,
    why: "of the example's own, which is short on purpose",
  },
  {
    rule: /^AwsSolutions-IAM[45]/,
    path: /^(Greeting|Production)\/Task\/ExecutionRole\/|^Handler\/Function\/ServiceRole\//,
    why: 'as CDK makes it',
  },
  {
    rule: /^AwsSolutions-IAM5\[Resource::<StoreBlobs/,
    path: /^Builds\/Pipeline\//,
    why: 'objects of the image bucket, whose keys are made at run time, for a role that may build',
  },
];

export function nagFindings(synthesis: Synthesis): readonly string[] {
  const { pluginReports } = synthesis.readJson('validation-report.json') as Report;
  return pluginReports
    .flatMap(({ violations }) => violations)
    .filter(({ ruleName }) => ruleName.startsWith('AwsSolutions-') || ENCRYPTION_OR_LOGS.test(ruleName))
    .flatMap(({ ruleName, violatingConstructs }) =>
      violatingConstructs.map(({ constructPath = '' }) => ({ rule: ruleName, path: constructPath })),
    )
    .filter(({ rule, path }) => !ACCEPTED.some((each) => each.rule.test(rule) && each.path.test(path)))
    .map(({ rule, path }) => `${path}: ${rule}`);
}

/** What CDK's own rules of CloudFormation find: values beyond bounds, types that are deprecated. */
export function cloudFormationFindings(synthesis: Synthesis): readonly string[] {
  const { pluginReports } = synthesis.readJson('validation-report.json') as Report;
  return pluginReports
    .filter(({ pluginName }) => pluginName === 'CloudFormation Validate')
    .flatMap(({ violations }) => violations)
    .flatMap(({ ruleName, violatingConstructs }) =>
      violatingConstructs.map(({ constructPath = '' }) => `${constructPath}: ${ruleName}`),
    );
}

/** The packs that looked. */
export function nagPacks(synthesis: Synthesis): readonly string[] {
  return (synthesis.readJson('validation-report.json') as Report).pluginReports.map(({ pluginName }) => pluginName);
}
