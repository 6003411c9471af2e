/**
 * Says, finding by finding, why a role may hold a wildcard. cdk-nag names a finding by the resolved resource, which is
 * known only after cross-stack references are resolved; so the reasons are given as patterns and matched then.
 * A wildcard without a reason stays a finding and fails synthesis.
 */
import { Stack, Validations } from 'aws-cdk-lib';
import { CfnManagedPolicy, CfnPolicy } from 'aws-cdk-lib/aws-iam';
import type { IConstruct } from 'constructs';

export interface WildcardReason {
  /** Matched against cdk-nag's name of the finding, e.g. `Resource::arn:…:task/…/*`. */
  readonly finding: RegExp;
  readonly reason: string;
}

/** For whoever may use a store, made here or imported. */
export const STORED_OBJECTS: WildcardReason = {
  finding: /^(Resource::(.*Blobs.*|arn:.*:s3:::[^/]+|<.*\.Arn>)\/\*|Action::kms:(GenerateDataKey|ReEncrypt)\*)$/,
  reason: 'The objects of the image bucket, whose keys are made at run time; of KMS, one right of several names.',
};

export function acknowledgeWildcards(role: IConstruct, reasons: readonly WildcardReason[]): void {
  role.node.addValidation({
    validate: () => {
      for (const finding of wildcardFindings(role)) {
        const match = reasons.find((reason) => reason.finding.test(finding));
        if (match !== undefined) {
          Validations.of(role).acknowledge({ id: `AwsSolutions-IAM5[${finding}]`, reason: match.reason });
        }
      }
      return [];
    },
  });
}

function wildcardFindings(role: IConstruct): string[] {
  return role.node
    .findAll()
    .flatMap((node) => {
      if (!(node instanceof CfnPolicy || node instanceof CfnManagedPolicy)) return [];
      const document = Stack.of(node).resolve(node.policyDocument) as PolicyDocument;
      return (document.Statement ?? []).flatMap((statement) => [
        ...list(statement.Action).map((action) => `Action::${String(action)}`),
        ...list(statement.Resource).map((resource) => `Resource::${flatten(resource)}`),
      ]);
    })
    .filter((finding) => finding.includes('*'));
}

interface PolicyDocument {
  readonly Statement?: readonly { readonly Action?: unknown; readonly Resource?: unknown }[];
}

function list(value: unknown): readonly unknown[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}

/** A CloudFormation value as cdk-nag writes it in the name of a finding. */
function flatten(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null) return '';
  if ('Ref' in value) return `<${String(value.Ref)}>`;
  if ('Fn::Sub' in value) return String(value['Fn::Sub']).replaceAll(/\$\{([^}]+)\}/g, '<$1>');
  if ('Fn::ImportValue' in value) return flatten(value['Fn::ImportValue']);
  if ('Fn::GetAtt' in value && Array.isArray(value['Fn::GetAtt'])) return `<${value['Fn::GetAtt'].join('.')}>`;
  if ('Fn::Join' in value && Array.isArray(value['Fn::Join'])) {
    const [delimiter, items] = value['Fn::Join'] as [string, readonly unknown[]];
    return items.map(flatten).join(delimiter);
  }
  return JSON.stringify(value);
}
