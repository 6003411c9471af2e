/** The challenge of the registry passes API Gateway renamed; the function at the edge is run as CloudFront runs it. */
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';
import { Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import { HostedZone } from 'aws-cdk-lib/aws-route53';
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

  test('is called by names of its own, which their zone points there, by both kinds of address', () => {
    const { stack, template } = testStack({ nag: true });
    const { edge } = new Wharf(stack, 'Wharf');
    const hostedZone = HostedZone.fromHostedZoneAttributes(stack, 'Zone', {
      hostedZoneId: 'Z1',
      zoneName: 'example.org',
    });
    const arn = 'arn:aws:acm:us-east-1:111111111111:certificate/01234567-89ab-cdef-0123-456789abcdef';
    const certificate = Certificate.fromCertificateArn(stack, 'Certificate', arn);
    const domainNames = ['images.example.org', 'hub.example.org'];
    const { url } = new RegistryDomain(stack, 'Domain', { edge, domainNames, certificate, hostedZone });
    expect(url).toBe('https://images.example.org');
    const records = Object.values(template().findResources('AWS::Route53::RecordSet')).map(({ Properties }) => {
      const { Name, Type } = Properties as { Name: string; Type: string };
      return `${Name} ${Type}`;
    });
    expect(records.toSorted()).toEqual([
      ...['hub.example.org. A', 'hub.example.org. AAAA', 'images.example.org. A', 'images.example.org. AAAA'],
    ]);
    expect(stack.resolve(new RegistryDomain(stack, 'Plain', { edge }).url)).toMatchObject({
      'Fn::Join': ['', ['https://', { 'Fn::GetAtt': [expect.any(String), 'DomainName'] }]],
    });
  });

  test('wants a certificate for names of its own', () => {
    const { stack } = testStack();
    const { edge } = new Wharf(stack, 'Wharf');
    expect(() => new RegistryDomain(stack, 'Domain', { edge, domainNames: ['images.example.com'] })).toThrow(
      /images\.example\.com want a certificate of us-east-1/,
    );
  });
});
