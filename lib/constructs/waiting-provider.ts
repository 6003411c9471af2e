/**
 * CDK's provider framework around one function of ours that both begins what a template wants and says whether it is
 * done, with roles and a log group that it would not make by itself, and the findings about what is CDK's own.
 */
import { Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { type ILogGroup, LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { CfnStateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import { Provider } from 'aws-cdk-lib/custom-resources';
import type { Construct } from 'constructs';
import { acknowledgeWildcards } from './acknowledge-wildcards.js';
import type { WharfFunction } from './wharf-function.js';

/** Below the hour after which CloudFormation gives up by itself, without a word. */
const LIMIT = Duration.minutes(55);

export interface WaitingProvider {
  readonly provider: Provider;
  readonly logGroup: ILogGroup;
}

/** Makes them directly under the scope. */
export function waitingProvider(
  scope: Construct,
  fn: WharfFunction,
  options: { readonly queryInterval: Duration; readonly logGroup: ILogGroup | undefined },
): WaitingProvider {
  const logGroup =
    options.logGroup ??
    new LogGroup(scope, 'FrameworkLogs', { retention: RetentionDays.ONE_MONTH, removalPolicy: RemovalPolicy.DESTROY });
  const provider = new Provider(scope, 'Provider', {
    onEventHandler: fn.function,
    isCompleteHandler: fn.function,
    queryInterval: options.queryInterval,
    totalTimeout: LIMIT,
    logGroup,
    frameworkOnEventRole: frameworkRole(scope, 'OnEventRole', logGroup),
    frameworkCompleteAndTimeoutRole: frameworkRole(scope, 'CompleteRole', logGroup),
  });
  acknowledgeFramework(provider);
  return { provider, logGroup };
}

function frameworkRole(scope: Construct, id: string, logGroup: ILogGroup): Role {
  const role = new Role(scope, id, { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
  logGroup.grantWrite(role);
  acknowledgeWildcards(role, [
    { finding: /^Resource::.*Function.*:\*$/, reason: 'Versions of the one function it may call.' },
    { finding: /^Resource::.*Logs.*:\*$/, reason: 'The log streams of its own log group.' },
  ]);
  return role;
}

function acknowledgeFramework(provider: Provider): void {
  const ofCdk = 'Made by the provider framework of CDK, which sets it for every custom resource.';
  Validations.of(provider).acknowledge({ id: 'AwsSolutions-L1', reason: ofCdk });
  const machine = provider.node.findAll().find((node) => node instanceof CfnStateMachine);
  const waits = 'It asks one question every few seconds; question and answer are in the log of the function.';
  for (const rule of ['AwsSolutions-SF1', 'AwsSolutions-SF2']) {
    if (machine !== undefined) Validations.of(machine).acknowledge({ id: rule, reason: waits });
  }
  const waiter = provider.node.tryFindChild('waiter-state-machine');
  if (waiter === undefined) return;
  acknowledgeWildcards(waiter, [{ finding: /^Resource::.*:\*$/, reason: 'Versions of the two functions it calls.' }]);
}
