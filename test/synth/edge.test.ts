/** Edge in templates: a name of one's own, and overrides. */
import { describe, expect, test } from '@jest/globals';
import type { Stack } from 'aws-cdk-lib';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import { HostedZone } from 'aws-cdk-lib/aws-route53';
import { Edge, Wharf, type WharfProps } from '../../lib/constructs/index.js';
import { testStack } from './unbundled.js';

const zoneIn = (stack: Stack) =>
  HostedZone.fromHostedZoneAttributes(stack, 'Zone', { hostedZoneId: 'Z1', zoneName: 'example.org' });

function named(stack: Stack): WharfProps {
  const arn = 'arn:aws:acm:eu-central-1:111111111111:certificate/01234567-89ab-cdef-0123-456789abcdef';
  return {
    domainName: 'wharf.example.org',
    certificate: Certificate.fromCertificateArn(stack, 'Certificate', arn),
    hostedZone: zoneIn(stack),
  };
}

describe('the front door', () => {
  test('answers under a name of its own, which its zone points there', () => {
    const { stack, template } = testStack({ nag: true });
    const { edge } = new Wharf(stack, 'Wharf', named(stack));
    const made = template();
    expect(edge.url).toBe('https://wharf.example.org');
    made.hasResourceProperties('AWS::ApiGatewayV2::DomainName', { DomainName: 'wharf.example.org' });
    made.resourceCountIs('AWS::ApiGatewayV2::ApiMapping', 1);
    made.hasResourceProperties('AWS::Route53::RecordSet', { Name: 'wharf.example.org.', Type: 'A' });
    made.hasOutput('*', { Value: 'https://wharf.example.org' });
  });

  test.each<[string, (stack: Stack) => WharfProps, RegExp]>([
    ['a name without a certificate', () => ({ domainName: 'x.example.org' }), /x\.example\.org wants a certificate/],
    ['a zone without a name', (stack) => ({ hostedZone: zoneIn(stack) }), /there is none/],
  ])('refuses %s', (_, props, message) => {
    const { stack } = testStack();
    expect(() => new Wharf(stack, 'Wharf', props(stack))).toThrow(message);
  });

  test('takes overrides by the names under which it shows what it made', () => {
    const { stack, template } = testStack();
    const { controlPlane } = new Wharf(stack, 'Wharf');
    new Edge(stack, 'Second', {
      controlPlane,
      cfnOverrides: { api: { DisableExecuteApiEndpoint: true }, stage: { Description: 'second' } },
    });
    template().hasResourceProperties('AWS::ApiGatewayV2::Api', { DisableExecuteApiEndpoint: true });
    template().hasResourceProperties('AWS::ApiGatewayV2::Stage', { Description: 'second' });
    expect(() => new Edge(stack, 'Third', { controlPlane, cfnOverrides: { domain: {} } })).toThrow(
      /domain was not made/,
    );
  });
});
