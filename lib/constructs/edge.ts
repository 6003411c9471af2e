/**
 * The front door on AWS: an HTTP API with two integrations, `/v2` and `/token` to the registry function, everything
 * else to the API function. Both check the caller themselves, with one authorisation function for all routes.
 */
import { RemovalPolicy, Token, Validations } from 'aws-cdk-lib';
import {
  CfnStage,
  DomainName,
  HttpApi,
  HttpMethod,
  HttpNoneAuthorizer,
  type IDomainName,
  PayloadFormatVersion,
} from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import type { ICertificate } from 'aws-cdk-lib/aws-certificatemanager';
import type { Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { ARecord, type IHostedZone, RecordTarget } from 'aws-cdk-lib/aws-route53';
import { ApiGatewayv2DomainProperties } from 'aws-cdk-lib/aws-route53-targets';
import { type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct, type IConstruct } from 'constructs';
import { type CfnOverrides, overrideCfn } from './cfn-overrides.js';
import type { ControlPlane } from './control-plane.js';
import type { IImageStore } from './image-store.js';
import { checkKnown, checkWhole, refusedProp } from './refused-prop.js';

export interface EdgeProps {
  readonly controlPlane: ControlPlane;
  /** Of all clients together; a burst of twice as many passes. @default 100 */
  readonly requestsPerSecond?: number;
  /** A name of one's own, as `wharf.example.org`. The other name goes on answering. @default - none */
  readonly domainName?: string;
  /** For that name, in the stack's own region. @default - none, with no name */
  readonly certificate?: ICertificate;
  /** Where that name is pointed here. @default - nowhere: that is done by whoever has the name */
  readonly hostedZone?: IHostedZone;
  /** What is written of each request. @default - a new log group, kept for a month, gone with the stack */
  readonly accessLogs?: LogGroup;
  /** For `api`, `stage`, `domain` and `accessLogs`. @default - none */
  readonly cfnOverrides?: CfnOverrides;
}

/** A platform that is there already, as those who deploy to it need to know it. */
export interface EdgeAttributes {
  /** As the output `Url` says it. */
  readonly url: string;
  /** Of a token of the role `deploy`. */
  readonly deployTokenArn: string;
  /** @default wharf */
  readonly clusterName?: string;
  /** Where its images lie, for services of images that a template builds. @default - unknown */
  readonly store?: IImageStore;
}

/** What the other constructs need of a platform's front door, made here or imported. */
export interface IEdge extends IConstruct {
  /** Where the HTTP API answers, without a final slash. */
  readonly url: string;
  /** A token of the role `deploy`. */
  readonly deployToken: ISecret;
  readonly clusterName: string;
  /** Undefined where an imported platform does not say it. */
  readonly store: IImageStore | undefined;
  /** What has to be there while the API is asked. */
  readonly answering: readonly IConstruct[];
  /** Lets the grantee deploy, push and pull over the API: it may read the token that the API wants to see. */
  grantDeploy(grantee: IGrantable): void;
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

abstract class EdgeBase extends Construct implements IEdge {
  abstract readonly url: string;
  abstract get deployToken(): ISecret;
  abstract readonly clusterName: string;
  abstract readonly store: IImageStore | undefined;
  abstract readonly answering: readonly IConstruct[];

  grantDeploy(grantee: IGrantable): void {
    this.deployToken.grantRead(grantee);
  }
}

/** @example const edge = new Edge(stack, 'Edge', { controlPlane, domainName: 'wharf.example.org', certificate }); */
export class Edge extends EdgeBase {
  /** A platform that another stack, or another app, made. */
  static fromEdgeAttributes(scope: Construct, id: string, attributes: EdgeAttributes): IEdge {
    const { url } = attributes;
    if (!Token.isUnresolved(url) && !/^https?:\/\/[^/]/.test(url)) {
      throw refusedProp(
        `${scope.node.path}/${id}`,
        `url ${url}: what the output Url of the platform says is wanted, as https://…`,
      );
    }
    return new (class extends EdgeBase {
      readonly url = attributes.url.replace(/\/+$/, '');
      readonly clusterName = attributes.clusterName ?? 'wharf';
      readonly store = attributes.store;
      readonly answering = [];
      private readonly token = Secret.fromSecretCompleteArn(this, 'DeployToken', attributes.deployTokenArn);
      get deployToken(): ISecret {
        return this.token;
      }
    })(scope, id);
  }

  readonly url: string;
  readonly clusterName: string;
  readonly store: IImageStore;
  readonly answering: readonly IConstruct[];
  readonly api: HttpApi;
  readonly accessLogs: LogGroup;
  /** Undefined without a name of one's own. */
  readonly domain: IDomainName | undefined;
  private readonly controlPlane: ControlPlane;

  /** @throws Error for a name without a certificate, or a certificate or zone without a name */
  constructor(scope: Construct, id: string, props: EdgeProps) {
    super(scope, id);
    const { controlPlane, requestsPerSecond } = props;
    // The burst is reckoned from it.
    checkKnown(this.node.path, { requestsPerSecond });
    checkWhole(this.node.path, { requestsPerSecond }, 1);
    this.controlPlane = controlPlane;
    this.clusterName = controlPlane.capacity.clusterName;
    this.store = controlPlane.store;
    this.answering = [this, controlPlane, controlPlane.capacity];
    this.domain = this.createDomain(props);
    this.api = this.createApi(controlPlane);
    this.accessLogs =
      props.accessLogs ??
      new LogGroup(this, 'AccessLogs', { retention: RetentionDays.ONE_MONTH, removalPolicy: RemovalPolicy.DESTROY });
    const stage = this.api.defaultStage?.node.defaultChild;
    if (stage instanceof CfnStage) {
      const rate = requestsPerSecond ?? 100;
      stage.defaultRouteSettings = { throttlingRateLimit: rate, throttlingBurstLimit: 2 * rate };
      stage.accessLogSettings = { destinationArn: this.accessLogs.logGroupArn, format: ACCESS_LOG_FORMAT };
    }
    this.url = props.domainName === undefined ? this.api.apiEndpoint : `https://${props.domainName}`;
    const { api, domain, accessLogs } = this;
    overrideCfn(this, { api, stage: this.api.defaultStage, domain, accessLogs }, props.cfnOverrides);
  }

  get deployToken(): ISecret {
    return this.controlPlane.deployToken;
  }

  metricRequests(options?: MetricOptions): Metric {
    return this.api.metricCount(options);
  }

  /** Answers that say that the fault is ours. */
  metricServerErrors(options?: MetricOptions): Metric {
    return this.api.metricServerError(options);
  }

  /** Milliseconds from a request to its answer. */
  metricLatency(options?: MetricOptions): Metric {
    return this.api.metricLatency(options);
  }

  private createApi(controlPlane: ControlPlane): HttpApi {
    const integration = (name: string, fn: ControlPlane['api']): HttpLambdaIntegration =>
      new HttpLambdaIntegration(name, fn.function, { payloadFormatVersion: PayloadFormatVersion.VERSION_2_0 });
    const api = new HttpApi(this, 'HttpApi', {
      description: 'Wharf',
      defaultIntegration: integration('ApiIntegration', controlPlane.api),
      defaultAuthorizer: new HttpNoneAuthorizer(),
      ...(this.domain === undefined ? {} : { defaultDomainMapping: { domainName: this.domain } }),
    });
    const registry = integration('RegistryIntegration', controlPlane.registry);
    for (const path of ['/v2', '/v2/{proxy+}', '/token', '/token/{proxy+}']) {
      api.addRoutes({ path, methods: [HttpMethod.ANY], integration: registry });
    }
    Validations.of(api).acknowledge({
      id: 'AwsSolutions-APIG4',
      reason: 'Registry clients learn the challenge from a 401 of ours; each function verifies the token itself.',
    });
    return api;
  }

  private createDomain({ domainName, certificate, hostedZone }: EdgeProps): IDomainName | undefined {
    if (domainName === undefined) {
      if (certificate === undefined && hostedZone === undefined) return undefined;
      throw refusedProp(this.node.path, `a certificate and a hostedZone are for a domainName, and there is none`);
    }
    if (certificate === undefined) {
      throw refusedProp(this.node.path, `${domainName} wants a certificate of the stack's own region`);
    }
    const domain = new DomainName(this, 'Domain', { domainName, certificate });
    if (hostedZone !== undefined) {
      const target = new ApiGatewayv2DomainProperties(domain.regionalDomainName, domain.regionalHostedZoneId);
      new ARecord(this, 'Name', { zone: hostedZone, recordName: domainName, target: RecordTarget.fromAlias(target) });
    }
    return domain;
  }
}
