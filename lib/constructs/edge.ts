/**
 * The front door on AWS: an HTTP API with two integrations, `/v2` and `/token` to the registry function, everything
 * else to the API function. Both check the caller themselves, with one authorisation function for all routes.
 */
import { RemovalPolicy, Validations } from 'aws-cdk-lib';
import { CfnStage, HttpApi, HttpMethod, HttpNoneAuthorizer, PayloadFormatVersion } from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { ControlPlane } from './control-plane.js';

export interface EdgeProps {
  readonly controlPlane: ControlPlane;
  /** Of all clients together; a burst of twice as many passes. @default 100 */
  readonly requestsPerSecond?: number;
}

const ACCESS_LOG_FORMAT = JSON.stringify({
  requestId: '$context.requestId',
  time: '$context.requestTime',
  method: '$context.httpMethod',
  path: '$context.path',
  status: '$context.status',
  bytes: '$context.responseLength',
  milliseconds: '$context.responseLatency',
  error: '$context.integrationErrorMessage',
});

export class Edge extends Construct {
  readonly api: HttpApi;
  readonly accessLogs: LogGroup;

  constructor(scope: Construct, id: string, props: EdgeProps) {
    super(scope, id);
    const integration = (name: string, fn: ControlPlane['api']): HttpLambdaIntegration =>
      new HttpLambdaIntegration(name, fn.function, { payloadFormatVersion: PayloadFormatVersion.VERSION_2_0 });
    const registry = integration('RegistryIntegration', props.controlPlane.registry);
    this.api = new HttpApi(this, 'HttpApi', {
      description: 'Wharf',
      defaultIntegration: integration('ApiIntegration', props.controlPlane.api),
      defaultAuthorizer: new HttpNoneAuthorizer(),
    });
    for (const path of ['/v2', '/v2/{proxy+}', '/token', '/token/{proxy+}']) {
      this.api.addRoutes({ path, methods: [HttpMethod.ANY], integration: registry });
    }
    this.accessLogs = new LogGroup(this, 'AccessLogs', {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const stage = this.api.defaultStage?.node.defaultChild;
    if (stage instanceof CfnStage) {
      const rate = props.requestsPerSecond ?? 100;
      stage.defaultRouteSettings = { throttlingRateLimit: rate, throttlingBurstLimit: 2 * rate };
      stage.accessLogSettings = { destinationArn: this.accessLogs.logGroupArn, format: ACCESS_LOG_FORMAT };
    }
    Validations.of(this.api).acknowledge({
      id: 'AwsSolutions-APIG4',
      reason: 'Registry clients learn the challenge from a 401 of ours; each function verifies the token itself.',
    });
  }
}
