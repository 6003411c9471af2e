/** What signing in to ECR calls, by name: an import of the SDK's package as a whole would bring every operation. */
export { ECRClient, GetAuthorizationTokenCommand } from '@aws-sdk/client-ecr';
