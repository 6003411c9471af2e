/**
 * CloudFront in front of the HTTP API, for one reason: API Gateway renames `WWW-Authenticate`, so that registry clients
 * never learn where to get a token. A function at the edge gives the header its name back; nothing is cached. A domain
 * of one's own is possible here, with a certificate of us-east-1.
 */
import { Stack, Token, Validations } from 'aws-cdk-lib';
import type { ICertificate } from 'aws-cdk-lib/aws-certificatemanager';
import type { Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import {
  AllowedMethods,
  CachePolicy,
  Distribution,
  Function as EdgeFunction,
  FunctionCode,
  FunctionEventType,
  FunctionRuntime,
  OriginRequestPolicy,
  ViewerProtocolPolicy,
} from 'aws-cdk-lib/aws-cloudfront';
import { HttpOrigin } from 'aws-cdk-lib/aws-cloudfront-origins';
import { AaaaRecord, ARecord, type IHostedZone, RecordTarget } from 'aws-cdk-lib/aws-route53';
import { CloudFrontTarget } from 'aws-cdk-lib/aws-route53-targets';
import { Construct } from 'constructs';
import { type CfnOverrides, overrideCfn } from './cfn-overrides.js';
import type { Edge } from './edge.js';
import { refusedProp } from './refused-prop.js';

export interface RegistryDomainProps {
  readonly edge: Edge;
  /** Names of the distribution beside its own. @default - none */
  readonly domainNames?: string[];
  /** For those names, in us-east-1. @default - none, with no names */
  readonly certificate?: ICertificate;
  /** Where those names are pointed at the distribution. @default - nowhere: that is done by whoever has the names */
  readonly hostedZone?: IHostedZone;
  /** For `distribution` and `restoreChallenge`. @default - none */
  readonly cfnOverrides?: CfnOverrides;
}

/** Runs at the edge, in CloudFront's own JavaScript. */
export const RESTORE_CHALLENGE = `function handler(event) {
  var response = event.response;
  var renamed = response.headers['x-amzn-remapped-www-authenticate'];
  if (renamed && !response.headers['www-authenticate']) {
    response.headers['www-authenticate'] = renamed;
    delete response.headers['x-amzn-remapped-www-authenticate'];
  }
  return response;
}`;

/** @example const { distribution } = new RegistryDomain(stack, 'Domain', { edge: wharf.edge }); */
export class RegistryDomain extends Construct {
  readonly distribution: Distribution;
  readonly restoreChallenge: EdgeFunction;
  /** What clients call the registry by, without a final slash: the first of the names, or CloudFront's own. */
  readonly url: string;

  /** @throws Error for names without a certificate */
  constructor(scope: Construct, id: string, props: RegistryDomainProps) {
    super(scope, id);
    const { domainNames = [], certificate } = props;
    if (domainNames.length > 0 && certificate === undefined) {
      throw refusedProp(this.node.path, `domainNames ${domainNames.join(', ')} want a certificate of us-east-1`);
    }
    if ((certificate ?? props.hostedZone) !== undefined && domainNames.length === 0) {
      const sentence = 'a certificate and a hostedZone are for domainNames, and there are none: give the names as well';
      throw refusedProp(this.node.path, sentence);
    }
    const place = Stack.of(this).region;
    if (!Token.isUnresolved(place) && place.startsWith('cn-')) {
      throw refusedProp(
        this.node.path,
        `CloudFront has no functions in ${place}: a RegistryFront gives docker its challenge there`,
      );
    }
    this.restoreChallenge = new EdgeFunction(this, 'RestoreChallenge', {
      runtime: FunctionRuntime.JS_2_0,
      code: FunctionCode.fromInline(RESTORE_CHALLENGE),
      comment: 'Gives WWW-Authenticate the name back that API Gateway took',
    });
    const { api } = props.edge;
    // Of the API: the distribution may stand in us-east-1, beside its certificate.
    const { region, urlSuffix } = Stack.of(api);
    this.distribution = new Distribution(this, 'Distribution', {
      comment: 'Wharf: registry and API',
      defaultBehavior: {
        origin: new HttpOrigin(`${api.apiId}.execute-api.${region}.${urlSuffix}`),
        allowedMethods: AllowedMethods.ALLOW_ALL,
        compress: false,
        cachePolicy: CachePolicy.CACHING_DISABLED,
        originRequestPolicy: OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
        viewerProtocolPolicy: ViewerProtocolPolicy.HTTPS_ONLY,
        functionAssociations: [{ function: this.restoreChallenge, eventType: FunctionEventType.VIEWER_RESPONSE }],
      },
      ...(certificate === undefined ? {} : { domainNames, certificate }),
    });
    this.acknowledge();
    this.pointAt(domainNames, props.hostedZone);
    this.url = `https://${domainNames[0] ?? this.distribution.distributionDomainName}`;
    const { distribution, restoreChallenge } = this;
    overrideCfn(this, { distribution, restoreChallenge }, props.cfnOverrides);
  }

  metricRequests(options?: MetricOptions): Metric {
    return this.distribution.metricRequests(options);
  }

  /** Percent of answers that say that the fault is ours. */
  metricServerErrorRate(options?: MetricOptions): Metric {
    return this.distribution.metric5xxErrorRate(options);
  }

  private pointAt(names: readonly string[], zone: IHostedZone | undefined): void {
    if (zone === undefined) return;
    const target = RecordTarget.fromAlias(new CloudFrontTarget(this.distribution));
    for (const [index, recordName] of names.entries()) {
      new ARecord(this, `Name${index}`, { zone, recordName, target });
      new AaaaRecord(this, `Name${index}V6`, { zone, recordName, target });
    }
  }

  private acknowledge(): void {
    const reasons = {
      'AwsSolutions-CFR1': 'Clients may be anywhere; each is asked for a token.',
      'AwsSolutions-CFR2': 'Every request is checked for a token; who wants a firewall adds it to the distribution.',
      'AwsSolutions-CFR3': 'The HTTP API behind it logs every request.',
      'AwsSolutions-CFR4':
        'The distribution has its own certificate unless a name is given, and with it the default policy.',
    };
    for (const [id, reason] of Object.entries(reasons)) Validations.of(this.distribution).acknowledge({ id, reason });
  }
}
