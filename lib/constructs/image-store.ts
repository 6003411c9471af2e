/**
 * Where Wharf keeps everything that must survive: layers in a bucket, records in one table, and the key that seals
 * stored secrets. All of it is kept when the stack is deleted, unless asked otherwise.
 */
import { Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import type { Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import { AttributeType, Billing, type ITableV2, TableEncryptionV2, TableV2 } from 'aws-cdk-lib/aws-dynamodb';
import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import { BlockPublicAccess, Bucket, BucketEncryption, type IBucket } from 'aws-cdk-lib/aws-s3';
import { type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct, type IConstruct } from 'constructs';
import { type CfnOverrides, overrideCfn } from './cfn-overrides.js';
import { generatedSecret } from './generated-secret.js';
import { storedBytes } from './metrics.js';
import { checkHeeded } from './refused-prop.js';

export interface ImageStoreProps {
  /** @default - a new bucket: encrypted, private, TLS only, access logged */
  readonly bucket?: IBucket;
  /** Without `bucket`: who reads and writes it. @default - a new bucket, emptied after 90 days, kept as the other */
  readonly accessLogs?: IBucket;
  /** With `pk` and `sk` as its keys, both texts, and `ttl` as its time to live. @default - a new table, on demand */
  readonly table?: ITableV2;
  /** 43 letters and digits or more. Without it what it sealed is lost. @default - a new secret */
  readonly sealingKey?: ISecret;
  /** The first administrator's API token. @default - a new secret, made when something asks for it */
  readonly adminToken?: ISecret;
  /** DESTROY empties the bucket, too. @default RemovalPolicy.RETAIN */
  readonly removalPolicy?: RemovalPolicy;
  /** For `bucket`, `accessLogs`, `table` and `sealingKey`. @default - none */
  readonly cfnOverrides?: CfnOverrides;
}

/** A store that is there already. */
export interface ImageStoreAttributes {
  readonly bucketName: string;
  readonly tableName: string;
  readonly sealingKeyArn: string;
  readonly adminTokenArn: string;
}

/** What the other constructs need of a store, made here or imported. */
export interface IImageStore extends IConstruct {
  readonly bucket: IBucket;
  readonly table: ITableV2;
  /** Seals secrets that Wharf stores in the table. */
  readonly sealingKey: ISecret;
  /** The first administrator's API token. */
  readonly adminToken: ISecret;
  /** Read and write of images and records, with no right that the adapters do not use. */
  grantReadWrite(grantee: IGrantable): void;
  /** Bytes of layers and contexts, as S3 counts them once a day. */
  metricStoredBytes(options?: MetricOptions): Metric;
}

const OBJECT_ACTIONS = [
  's3:GetObject',
  's3:PutObject',
  's3:DeleteObject',
  's3:AbortMultipartUpload',
  's3:ListMultipartUploadParts',
] as const;

const RECORD_ACTIONS = [
  'dynamodb:GetItem',
  'dynamodb:PutItem',
  'dynamodb:UpdateItem',
  'dynamodb:DeleteItem',
  'dynamodb:Query',
  'dynamodb:ConditionCheckItem',
] as const;

const KEY_ACTIONS = [
  'kms:Decrypt',
  'kms:DescribeKey',
  'kms:Encrypt',
  'kms:GenerateDataKey*',
  'kms:ReEncrypt*',
] as const;

abstract class ImageStoreBase extends Construct implements IImageStore {
  abstract readonly bucket: IBucket;
  abstract readonly table: ITableV2;
  abstract readonly sealingKey: ISecret;
  abstract get adminToken(): ISecret;

  grantReadWrite(grantee: IGrantable): void {
    Grant.addToPrincipal({ grantee, actions: [...OBJECT_ACTIONS], resourceArns: [this.bucket.arnForObjects('*')] });
    Grant.addToPrincipal({ grantee, actions: ['s3:ListBucket'], resourceArns: [this.bucket.bucketArn] });
    this.table.grant(grantee, ...RECORD_ACTIONS);
    // Of those that were given with a key of their own; the others are encrypted by keys of AWS.
    for (const key of [this.bucket.encryptionKey, this.table.encryptionKey]) key?.grant(grantee, ...KEY_ACTIONS);
    this.sealingKey.grantRead(grantee);
  }

  metricStoredBytes(options?: MetricOptions): Metric {
    return storedBytes(this.bucket, options);
  }
}

/** @example const store = new ImageStore(stack, 'Store', { removalPolicy: RemovalPolicy.DESTROY }); */
export class ImageStore extends ImageStoreBase {
  /** A store that another stack, or another app, made. */
  static fromImageStoreAttributes(scope: Construct, id: string, attributes: ImageStoreAttributes): IImageStore {
    return new (class extends ImageStoreBase {
      readonly bucket = Bucket.fromBucketName(this, 'Blobs', attributes.bucketName);
      readonly table = TableV2.fromTableName(this, 'Records', attributes.tableName);
      readonly sealingKey = Secret.fromSecretCompleteArn(this, 'SealingKey', attributes.sealingKeyArn);
      private readonly token = Secret.fromSecretCompleteArn(this, 'AdminToken', attributes.adminTokenArn);
      get adminToken(): ISecret {
        return this.token;
      }
    })(scope, id);
  }

  readonly bucket: IBucket;
  /** Undefined with a bucket of one's own. */
  readonly accessLogs: IBucket | undefined;
  readonly table: ITableV2;
  readonly sealingKey: ISecret;
  private readonly removalPolicy: RemovalPolicy;
  private token?: ISecret;

  constructor(scope: Construct, id: string, props: ImageStoreProps = {}) {
    super(scope, id);
    if (props.bucket !== undefined) checkHeeded(this.node.path, 'bucket', { accessLogs: props.accessLogs });
    this.removalPolicy = props.removalPolicy ?? RemovalPolicy.RETAIN;
    if (props.adminToken !== undefined) this.token = props.adminToken;
    this.accessLogs = props.bucket === undefined ? (props.accessLogs ?? this.createAccessLogs()) : undefined;
    this.bucket = props.bucket ?? this.createBucket(this.accessLogs);
    this.table = props.table ?? this.createTable();
    this.sealingKey =
      props.sealingKey ?? this.createSecret('SealingKey', 'Seals the secrets that Wharf keeps in its table');
    const { bucket, accessLogs, table, sealingKey } = this;
    overrideCfn(this, { bucket, accessLogs, table, sealingKey }, props.cfnOverrides);
  }

  /** Made when it is first asked for: a builder alone has no API to show a token to. */
  get adminToken(): ISecret {
    const token = this.token ?? this.createSecret('AdminToken', 'API token of the first Wharf administrator');
    this.token = token;
    return token;
  }

  private createTable(): ITableV2 {
    return new TableV2(this, 'Records', {
      partitionKey: { name: 'pk', type: AttributeType.STRING },
      sortKey: { name: 'sk', type: AttributeType.STRING },
      billing: Billing.onDemand(),
      encryption: TableEncryptionV2.awsManagedKey(),
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      timeToLiveAttribute: 'ttl',
      deletionProtection: this.removalPolicy === RemovalPolicy.RETAIN,
      removalPolicy: this.removalPolicy,
    }) as ITableV2;
  }

  /** A bucket that is to go has to be emptied first. */
  private get removal() {
    const { removalPolicy } = this;
    return { removalPolicy, autoDeleteObjects: removalPolicy === RemovalPolicy.DESTROY };
  }

  private createAccessLogs(): IBucket {
    const accessLogs = new Bucket(this, 'AccessLogs', {
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      encryption: BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      lifecycleRules: [{ expiration: Duration.days(90) }],
      ...this.removal,
    });
    Validations.of(accessLogs).acknowledge({
      id: 'AwsSolutions-S1',
      reason: 'This bucket receives the access logs of the image bucket; logging it into itself would never end.',
    });
    return accessLogs as IBucket;
  }

  private createBucket(accessLogs: IBucket | undefined): IBucket {
    return new Bucket(this, 'Blobs', {
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      encryption: BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      versioned: true,
      ...(accessLogs === undefined ? {} : { serverAccessLogsBucket: accessLogs }),
      lifecycleRules: [
        { abortIncompleteMultipartUploadAfter: Duration.days(7), noncurrentVersionExpiration: Duration.days(7) },
        // Leftovers of uploads that nobody finished: see lib/store/aws/blob-store-s3.ts.
        { prefix: 'uploads/', expiration: Duration.days(7) },
      ],
      ...this.removal,
    }) as IBucket;
  }

  private createSecret(id: string, description: string): ISecret {
    return generatedSecret(this, id, { description, removalPolicy: this.removalPolicy });
  }
}
