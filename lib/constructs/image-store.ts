/**
 * Where Wharf keeps everything that must survive: layers in a bucket, records in one table, and the key that seals
 * stored secrets. All of it is kept when the stack is deleted.
 */
import { Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import { AttributeType, Billing, TableEncryptionV2, TableV2 } from 'aws-cdk-lib/aws-dynamodb';
import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import { BlockPublicAccess, Bucket, BucketEncryption, type IBucket } from 'aws-cdk-lib/aws-s3';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';

export interface ImageStoreProps {
  /** @default - a new bucket: encrypted, private, TLS only, access logged */
  readonly bucket?: Bucket;
  /** @default RemovalPolicy.RETAIN */
  readonly removalPolicy?: RemovalPolicy;
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

export class ImageStore extends Construct {
  readonly bucket: Bucket;
  readonly table: TableV2;
  /** Seals secrets that Wharf stores in the table. */
  readonly sealingKey: Secret;
  /** The first administrator's API token. */
  readonly adminToken: Secret;

  constructor(scope: Construct, id: string, props: ImageStoreProps = {}) {
    super(scope, id);
    const removalPolicy = props.removalPolicy ?? RemovalPolicy.RETAIN;
    this.bucket = props.bucket ?? this.createBucket(removalPolicy);
    this.table = new TableV2(this, 'Records', {
      partitionKey: { name: 'pk', type: AttributeType.STRING },
      sortKey: { name: 'sk', type: AttributeType.STRING },
      billing: Billing.onDemand(),
      encryption: TableEncryptionV2.awsManagedKey(),
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      timeToLiveAttribute: 'ttl',
      deletionProtection: removalPolicy === RemovalPolicy.RETAIN,
      removalPolicy,
    });
    this.sealingKey = this.createSecret('SealingKey', 'Seals the secrets that Wharf keeps in its table', removalPolicy);
    this.adminToken = this.createSecret('AdminToken', 'API token of the first Wharf administrator', removalPolicy);
  }

  /** Read and write of images and records, with no right that the adapters do not use. */
  grantReadWrite(grantee: IGrantable): void {
    Grant.addToPrincipal({ grantee, actions: [...OBJECT_ACTIONS], resourceArns: [this.bucket.arnForObjects('*')] });
    Grant.addToPrincipal({ grantee, actions: ['s3:ListBucket'], resourceArns: [this.bucket.bucketArn] });
    this.table.grant(grantee, ...RECORD_ACTIONS);
    this.sealingKey.grantRead(grantee);
  }

  private createBucket(removalPolicy: RemovalPolicy): Bucket {
    const accessLogs = new Bucket(this, 'AccessLogs', {
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      encryption: BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      lifecycleRules: [{ expiration: Duration.days(90) }],
      removalPolicy,
    });
    Validations.of(accessLogs).acknowledge({
      id: 'AwsSolutions-S1',
      reason: 'This bucket receives the access logs of the image bucket; logging it into itself would never end.',
    });
    return new Bucket(this, 'Blobs', {
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      encryption: BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      versioned: true,
      serverAccessLogsBucket: accessLogs as IBucket,
      lifecycleRules: [
        { abortIncompleteMultipartUploadAfter: Duration.days(7), noncurrentVersionExpiration: Duration.days(7) },
        // Leftovers of uploads that nobody finished: see lib/store/blob-store-s3.ts.
        { prefix: 'uploads/', expiration: Duration.days(7) },
      ],
      removalPolicy,
    });
  }

  private createSecret(id: string, description: string, removalPolicy: RemovalPolicy): Secret {
    const secret = new Secret(this, id, {
      description,
      removalPolicy,
      generateSecretString: { passwordLength: 43, excludePunctuation: true },
    });
    Validations.of(secret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason: 'Changing it by schedule would unseal nothing or lock out every client; both are changed by their owner.',
    });
    return secret;
  }
}
