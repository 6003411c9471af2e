/** The challenge of the registry passes API Gateway renamed; the function at the edge is run as CloudFront runs it. */
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';
import { Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { RegistryDomain, Wharf } from '../../lib/constructs/index.js';
import { RESTORE_CHALLENGE } from '../../lib/constructs/registry-domain.js';
import { testStack } from './unbundled.js';

type Headers = Record<string, { value: string }>;

function atTheEdge(headers: Headers): Headers {
  const response = { statusCode: 401, headers };
  runInNewContext(`${RESTORE_CHALLENGE}; handler(event)`, { event: { response } });
  return response.headers;
}

const CHALLENGE = { value: 'Bearer realm="https://x/token",service="wharf"' };

describe('the function at the edge', () => {
  test('gives a challenge its name back', () => {
    expect(atTheEdge({ 'x-amzn-remapped-www-authenticate': CHALLENGE })).toEqual({ 'www-authenticate': CHALLENGE });
  });

  test('leaves alone what has its name, or is no challenge', () => {
    const other = { value: 'other' };
    const both = { 'www-authenticate': CHALLENGE, 'x-amzn-remapped-www-authenticate': other };
    expect(atTheEdge({ ...both })).toEqual(both);
    expect(atTheEdge({ 'content-type': other })).toEqual({ 'content-type': other });
  });
});

describe('the registry behind CloudFront', () => {
  test('passes every method and header on, and keeps nothing', () => {
    const { stack, template } = testStack({ nag: true });
    new RegistryDomain(stack, 'Domain', { edge: new Wharf(stack, 'Wharf').edge });
    template().hasResourceProperties('AWS::CloudFront::Distribution', {
      DistributionConfig: Match.objectLike({
        DefaultCacheBehavior: Match.objectLike({
          AllowedMethods: Match.arrayWith(['PUT', 'PATCH', 'DELETE']),
          // AWS's own policies: CachingDisabled, AllViewerExceptHostHeader.
          CachePolicyId: '4135ea2d-6df8-44a3-9df3-4b5a84be39ad',
          OriginRequestPolicyId: 'b689b0a8-53d0-40ab-baf2-68738e2966ac',
          FunctionAssociations: [Match.objectLike({ EventType: 'viewer-response' })],
        }),
      }),
    });
  }, 120_000);

  test('finds the API where that is, though it stands in us-east-1 itself', () => {
    const account = '111111111111';
    const { app, stack } = testStack({ env: { account, region: 'eu-west-1' } });
    const { edge } = new Wharf(stack, 'Wharf');
    const env = { account, region: 'us-east-1' };
    const global = new Stack(app, 'Global', { env, crossRegionReferences: true });
    new RegistryDomain(global, 'Domain', { edge });
    const distribution = JSON.stringify(Template.fromStack(global).findResources('AWS::CloudFront::Distribution'));
    expect(distribution).toMatch(/execute-api\.eu-west-1\./);
  });

  test('wants a certificate for names of its own', () => {
    const { stack } = testStack();
    const { edge } = new Wharf(stack, 'Wharf');
    expect(() => new RegistryDomain(stack, 'Domain', { edge, domainNames: ['images.example.com'] })).toThrow(
      /images\.example\.com want a certificate of us-east-1/,
    );
  });
});
