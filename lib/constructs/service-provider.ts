/**
 * What deploys the services of a stack's templates: the service-resource function behind CDK's provider framework. It
 * asks the platform's API as anybody does, so that all it may do in AWS is to read one token.
 */
import { Duration, Stack } from 'aws-cdk-lib';
import type { Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import type { Provider } from 'aws-cdk-lib/custom-resources';
import { Construct } from 'constructs';
import { type CfnOverrides, overrideCfn } from './cfn-overrides.js';
import type { IEdge } from './edge.js';
import { waitingProvider } from './waiting-provider.js';
import { WharfFunction } from './wharf-function.js';

export interface ServiceProviderProps {
  readonly edge: IEdge;
  /** What the function writes. @default - a new log group, kept for a month, gone with the stack */
  readonly logGroup?: ILogGroup;
  /** What CDK's framework around it writes. @default - a new log group, kept for a month, gone with the stack */
  readonly frameworkLogs?: ILogGroup;
  /** For `function`. @default - none */
  readonly cfnOverrides?: CfnOverrides;
}

export class ServiceProvider extends Construct {
  /** The provider of the scope's stack for this platform, made when it is first asked for. */
  static ofStack(scope: Construct, edge: IEdge): ServiceProvider {
    const stack = Stack.of(scope);
    const id = `WharfServices${edge.node.addr.slice(-8)}`;
    const found = stack.node.tryFindChild(id);
    return found instanceof ServiceProvider ? found : new ServiceProvider(stack, id, { edge });
  }

  readonly edge: IEdge;
  readonly function: WharfFunction;
  readonly provider: Provider;
  /** What CDK's framework around it writes. */
  readonly frameworkLogs: ILogGroup;

  constructor(scope: Construct, id: string, props: ServiceProviderProps) {
    super(scope, id);
    this.edge = props.edge;
    this.function = new WharfFunction(this, 'ServiceResource', {
      entry: 'service-resource',
      ...(props.logGroup === undefined ? {} : { logGroup: props.logGroup }),
      // It waits out what may pass: see lib/host/aws/service-resource.ts.
      timeout: Duration.minutes(5),
      environment: {
        WHARF_API_URL: props.edge.url,
        WHARF_DEPLOY_TOKEN_ARN: props.edge.deployToken.secretArn,
      },
    });
    props.edge.grantDeploy(this.function.role);
    const { provider, logGroup } = waitingProvider(this, this.function, {
      logGroup: props.frameworkLogs,
      queryInterval: Duration.seconds(10),
    });
    this.provider = provider;
    this.frameworkLogs = logGroup;
    overrideCfn(this, { function: this.function.function }, props.cfnOverrides);
  }

  /** Calls of the function that failed, each of which fails a deployment or is asked again. */
  metricErrors(options?: MetricOptions): Metric {
    return this.function.metricErrors(options);
  }
}
