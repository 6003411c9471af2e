/**
 * The way out where a prop is missing: properties of the CloudFormation resources that a construct made, by the name
 * under which the construct shows them. A name that is not there is refused, so that no override is lost silently.
 */
import { CfnResource } from 'aws-cdk-lib';
import type { Construct, IConstruct } from 'constructs';
import { refusedProp } from './refused-prop.js';

/**
 * By resource, then by property path as CloudFormation writes it.
 * @example { autoScalingGroup: { DefaultInstanceWarmup: 90, 'MetricsCollection.0.Granularity': '1Minute' } }
 */
export type CfnOverrides = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** @throws Error for a name that is not among the resources, or that was not made here */
export function overrideCfn(
  owner: Construct,
  resources: Readonly<Record<string, IConstruct | undefined>>,
  overrides: CfnOverrides | undefined,
): void {
  for (const [name, properties] of Object.entries(overrides ?? {})) {
    const resource = resources[name];
    const cfn = resource instanceof CfnResource ? resource : resource?.node.defaultChild;
    if (!(cfn instanceof CfnResource)) {
      const known = Object.keys(resources).join(', ');
      const why = name in resources ? 'was not made here' : `is none of ${known}`;
      throw refusedProp(owner.node.path, `cfnOverrides: ${name} ${why}`);
    }
    for (const [path, value] of Object.entries(properties)) cfn.addPropertyOverride(path, value);
  }
}
