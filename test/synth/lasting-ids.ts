/**
 * What is to last, by its logical id: what keeps data, and what people know by its address. Another id is another resource
 * to CloudFormation: the next deployment would make an empty one and delete the full one, or leave it behind. So it is with
 * another value of those properties that CloudFormation does not change in place. Add lines for what is new; a line that
 * changes or goes is a loss for everybody who has deployed.
 */
import type { CloudFormationSchema, TemplateResources } from './cloudformation-schema.js';

/** Logs tell of what is gone, and queues and networks are made again. */
const MADE_AGAIN = /^AWS::(Logs::LogGroup|SQS::Queue|EC2::.*)$/;
const ADDRESSED =
  /^AWS::(ApiGatewayV2::Api|ECS::Cluster|CloudFront::Distribution|ElasticLoadBalancingV2::LoadBalancer)$/;

export function lastingIds(resources: TemplateResources, schema: CloudFormationSchema): readonly string[] {
  return Object.entries(resources)
    .filter(([, { Type }]) => ADDRESSED.test(Type) || (schema.isStateful(Type) && !MADE_AGAIN.test(Type)))
    .map(([id, { Type, Properties = {} }]) => [id, Type, ...fixed(schema.replacedBy(Type), Properties)].join(' '))
    .toSorted();
}

/** As `Name=value`, of those that are given: one that comes or goes replaces as well. */
function fixed(names: readonly string[], properties: Readonly<Record<string, unknown>>): readonly string[] {
  return names
    .filter((name) => properties[name] !== undefined)
    .toSorted()
    .map((name) => `${name}=${JSON.stringify(properties[name]).replaceAll('"', '')}`);
}

/** Every table has the same keys. */
const TABLE = 'AWS::DynamoDB::GlobalTable KeySchema=[{AttributeName:pk,KeyType:HASH},{AttributeName:sk,KeyType:RANGE}]';

/** By app and stack. */
export const LASTING_IDS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  'bin/app.ts': {
    WharfCapacity: ['ContainerClusterADFFDB61 AWS::ECS::Cluster ClusterName=wharf'],
    WharfPlatform: ['WharfEdgeHttpApi5C115DC5 AWS::ApiGatewayV2::Api ProtocolType=HTTP'],
    WharfStorage: [
      'ImageStoreAccessLogs8FA88A52 AWS::S3::Bucket',
      'ImageStoreAdminToken82BBAC77 AWS::SecretsManager::Secret',
      'ImageStoreBlobs3CBA0B48 AWS::S3::Bucket',
      `ImageStoreRecords821CFD1A ${TABLE}`,
      'ImageStoreSealingKey9282915F AWS::SecretsManager::Secret',
    ],
  },
  'examples/cdk-accounts/app.ts': {
    Builds: [
      'Greeting7772ECD5 AWS::ECR::Repository RepositoryName=greeting',
      'WharfImageBuilderStoreAccessLogs34C97D82 AWS::S3::Bucket',
      'WharfImageBuilderStoreBlobs39C2FA9A AWS::S3::Bucket',
      `WharfImageBuilderStoreRecords4BB89021 ${TABLE}`,
      'WharfImageBuilderStoreSealingKey9474CD74 AWS::SecretsManager::Secret',
    ],
    Production: ['ClusterEB0386A7 AWS::ECS::Cluster'],
  },
  'examples/cdk-builder-only/app.ts': {
    Builds: [
      'StoreAccessLogs087BBF22 AWS::S3::Bucket',
      'StoreBlobs371A4133 AWS::S3::Bucket',
      `StoreRecords7AE2656C ${TABLE}`,
      'StoreSealingKey02FA5691 AWS::SecretsManager::Secret',
    ],
  },
  'examples/cdk-dockerfile-image/app.ts': {
    Greeting: [
      'ClusterEB0386A7 AWS::ECS::Cluster',
      'ImageRepositoryD8036990 AWS::ECR::Repository',
      'WharfImageBuilderStoreAccessLogs34C97D82 AWS::S3::Bucket',
      'WharfImageBuilderStoreBlobs39C2FA9A AWS::S3::Bucket',
      `WharfImageBuilderStoreRecords4BB89021 ${TABLE}`,
      'WharfImageBuilderStoreSealingKey9474CD74 AWS::SecretsManager::Secret',
    ],
  },
  'examples/cdk-dockerfile-lambda/app.ts': {
    Handler: [
      'ImageRepositoryD8036990 AWS::ECR::Repository',
      'WharfImageBuilderStoreAccessLogs34C97D82 AWS::S3::Bucket',
      'WharfImageBuilderStoreBlobs39C2FA9A AWS::S3::Bucket',
      `WharfImageBuilderStoreRecords4BB89021 ${TABLE}`,
      'WharfImageBuilderStoreSealingKey9474CD74 AWS::SecretsManager::Secret',
    ],
  },
  'examples/cdk-own-vpc/app.ts': {
    Platform: [
      'CapacityClusterDB0BCD31 AWS::ECS::Cluster ClusterName=wharf',
      'WharfEdgeHttpApi5C115DC5 AWS::ApiGatewayV2::Api ProtocolType=HTTP',
      'WharfStoreAccessLogs039DAF97 AWS::S3::Bucket',
      'WharfStoreAdminTokenB31A2037 AWS::SecretsManager::Secret',
      'WharfStoreBlobsADF596C8 AWS::S3::Bucket',
      `WharfStoreRecords64574409 ${TABLE}`,
      'WharfStoreSealingKey897E6773 AWS::SecretsManager::Secret',
    ],
  },
  'examples/cdk-platform/app.ts': {
    Team: [
      'CapacityClusterDB0BCD31 AWS::ECS::Cluster ClusterName=team',
      'WharfEdgeHttpApi5C115DC5 AWS::ApiGatewayV2::Api ProtocolType=HTTP',
      'WharfStoreAccessLogs039DAF97 AWS::S3::Bucket',
      'WharfStoreAdminTokenB31A2037 AWS::SecretsManager::Secret',
      'WharfStoreBlobsADF596C8 AWS::S3::Bucket',
      `WharfStoreRecords64574409 ${TABLE}`,
      'WharfStoreSealingKey897E6773 AWS::SecretsManager::Secret',
    ],
  },
  'examples/cdk-registry-front/app.ts': {
    Images: [
      'RegistryBalancerAccessLogsDA069868 AWS::S3::Bucket',
      'RegistryBalancerLoadBalancerEB350047 AWS::ElasticLoadBalancingV2::LoadBalancer Scheme=internet-facing Type=application',
      'RegistryImageRepository21162E47 AWS::ECR::Repository',
      'WharfCapacityClusterF0BD99F5 AWS::ECS::Cluster ClusterName=wharf',
      'WharfEdgeHttpApi5C115DC5 AWS::ApiGatewayV2::Api ProtocolType=HTTP',
      'WharfStoreAccessLogs039DAF97 AWS::S3::Bucket',
      'WharfStoreAdminTokenB31A2037 AWS::SecretsManager::Secret',
      'WharfStoreBlobsADF596C8 AWS::S3::Bucket',
      `WharfStoreRecords64574409 ${TABLE}`,
      'WharfStoreSealingKey897E6773 AWS::SecretsManager::Secret',
    ],
  },
  'examples/cdk-spot/app.ts': {
    Cheap: [
      'CapacityClusterDB0BCD31 AWS::ECS::Cluster ClusterName=cheap',
      'WharfEdgeHttpApi5C115DC5 AWS::ApiGatewayV2::Api ProtocolType=HTTP',
      'WharfStoreAccessLogs039DAF97 AWS::S3::Bucket',
      'WharfStoreAdminTokenB31A2037 AWS::SecretsManager::Secret',
      'WharfStoreBlobsADF596C8 AWS::S3::Bucket',
      `WharfStoreRecords64574409 ${TABLE}`,
      'WharfStoreSealingKey897E6773 AWS::SecretsManager::Secret',
    ],
  },
};
