/**
 * The load balancer before the registry's streaming front: one listener, TLS by the certificate given or plain HTTP
 * where that was asked for, health by path, and as long a drain as a push may take.
 */
import { Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import type { ICertificate } from 'aws-cdk-lib/aws-certificatemanager';
import { type IPeer, type IVpc, Peer, Port, SecurityGroup, SubnetType } from 'aws-cdk-lib/aws-ec2';
import {
  ApplicationListener,
  ApplicationLoadBalancer,
  ApplicationProtocol,
  ApplicationTargetGroup,
  SslPolicy,
  TargetType,
} from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { ARecord, type IHostedZone, RecordTarget } from 'aws-cdk-lib/aws-route53';
import { LoadBalancerTarget } from 'aws-cdk-lib/aws-route53-targets';
import { BlockPublicAccess, Bucket, BucketEncryption, type IBucket } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';

export interface RegistryBalancerProps {
  readonly vpc: IVpc;
  /** Of the containers. */
  readonly port: number;
  /** @default - none: the listener is plain HTTP */
  readonly certificate?: ICertificate;
  /** @default - the load balancer's own name */
  readonly domainName?: string;
  /** Where `domainName` is pointed here. @default - nowhere */
  readonly hostedZone?: IHostedZone;
  /** @default true */
  readonly internetFacing?: boolean;
  /** Who may connect. @default - anybody, with `internetFacing`; the network's own addresses without */
  readonly clients?: IPeer[];
  /** @default Duration.minutes(5) */
  readonly drain?: Duration;
  /** @default - a new bucket, emptied after 90 days, gone with the stack */
  readonly accessLogs?: IBucket;
}

/** How long a client may say nothing in the middle of a push. Less than the front keeps a connection. */
const IDLE = Duration.minutes(5);

export class RegistryBalancer extends Construct {
  readonly loadBalancer: ApplicationLoadBalancer;
  readonly listener: ApplicationListener;
  readonly targetGroup: ApplicationTargetGroup;
  readonly securityGroup: SecurityGroup;
  readonly accessLogs: IBucket;
  /** Where clients reach it, without a final slash. */
  readonly url: string;

  constructor(scope: Construct, id: string, props: RegistryBalancerProps) {
    super(scope, id);
    const { vpc, port, certificate, internetFacing = true } = props;
    this.securityGroup = this.createSecurityGroup(props);
    this.loadBalancer = new ApplicationLoadBalancer(this, 'LoadBalancer', {
      vpc,
      internetFacing,
      vpcSubnets: { subnetType: SubnetType.PUBLIC },
      securityGroup: this.securityGroup,
      idleTimeout: IDLE,
      dropInvalidHeaderFields: true,
    });
    this.accessLogs = props.accessLogs ?? this.createAccessLogs();
    this.logTo(this.accessLogs);
    this.targetGroup = new ApplicationTargetGroup(this, 'Targets', {
      vpc,
      port,
      protocol: ApplicationProtocol.HTTP,
      targetType: TargetType.INSTANCE,
      deregistrationDelay: props.drain ?? Duration.minutes(5),
      healthCheck: {
        path: '/healthz',
        interval: Duration.seconds(10),
        timeout: Duration.seconds(5),
        healthyThresholdCount: 2,
        unhealthyThresholdCount: 3,
      },
    });
    this.listener = new ApplicationListener(this, 'Listener', {
      loadBalancer: this.loadBalancer,
      open: false,
      defaultTargetGroups: [this.targetGroup],
      ...(certificate === undefined
        ? { port: 80, protocol: ApplicationProtocol.HTTP }
        : {
            port: 443,
            protocol: ApplicationProtocol.HTTPS,
            certificates: [certificate],
            sslPolicy: SslPolicy.RECOMMENDED_TLS,
          }),
    });
    this.pointAt(props);
    const host = props.domainName ?? this.loadBalancer.loadBalancerDnsName;
    this.url = `${certificate === undefined ? 'http' : 'https'}://${host}`;
  }

  private createSecurityGroup({ vpc, certificate, internetFacing = true, clients }: RegistryBalancerProps) {
    const group = new SecurityGroup(this, 'SecurityGroup', {
      vpc,
      description: 'Load balancer of the registry front',
      allowAllOutbound: false,
    });
    const peers = clients ?? [internetFacing ? Peer.anyIpv4() : Peer.ipv4(vpc.vpcCidrBlock)];
    for (const peer of peers) group.addIngressRule(peer, Port.tcp(certificate === undefined ? 80 : 443), 'Clients');
    if (clients === undefined && internetFacing) {
      Validations.of(group).acknowledge({
        id: 'AwsSolutions-EC23',
        reason: 'Clients of a registry may be anywhere; each is asked for a token. `clients` narrows it.',
      });
    }
    return group;
  }

  private createAccessLogs(): IBucket {
    const bucket = new Bucket(this, 'AccessLogs', {
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      encryption: BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      lifecycleRules: [{ expiration: Duration.days(90) }],
      removalPolicy: RemovalPolicy.DESTROY,
      autoDeleteObjects: true,
    });
    Validations.of(bucket).acknowledge({
      id: 'AwsSolutions-S1',
      reason: 'It receives access logs; logging those in turn would tell nothing more.',
    });
    return bucket as IBucket;
  }

  /**
   * By the service's name, which took the place of an account for each region; CDK's own method wants to know the region
   * at synthesis. No `aws:SourceArn`: that the service sends it is not sure, and without it the logs would silently not come.
   */
  private logTo(bucket: IBucket): void {
    this.loadBalancer.setAttribute('access_logs.s3.enabled', 'true');
    this.loadBalancer.setAttribute('access_logs.s3.bucket', bucket.bucketName);
    const allowed = bucket.addToResourcePolicy(
      new PolicyStatement({
        principals: [new ServicePrincipal('logdelivery.elasticloadbalancing.amazonaws.com')],
        actions: ['s3:PutObject'],
        resources: [bucket.arnForObjects(`AWSLogs/${Stack.of(this).account}/*`)],
      }),
    );
    if (allowed.policyDependable !== undefined) this.loadBalancer.node.addDependency(allowed.policyDependable);
  }

  private pointAt({ domainName, hostedZone }: RegistryBalancerProps): void {
    if (domainName === undefined || hostedZone === undefined) return;
    const target = RecordTarget.fromAlias(new LoadBalancerTarget(this.loadBalancer));
    new ARecord(this, 'Name', { zone: hostedZone, recordName: domainName, target });
  }
}
