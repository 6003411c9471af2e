/** A control plane as others see it, made here or imported: who may deploy through it, and pull what it copied to ECR. */
import { Stack } from 'aws-cdk-lib';
import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import { type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct, type IConstruct } from 'constructs';
import { PULL_ACTIONS } from './ecr-actions.js';

/** A control plane that is there already. */
export interface ControlPlaneAttributes {
  /** Of a token of the role `deploy`. */
  readonly deployTokenArn: string;
  /** First part of the names of ECR repositories. @default wharf */
  readonly mirrorPrefix?: string;
}

/** What others need of a control plane, made here or imported. */
export interface IControlPlane extends IConstruct {
  /** A token of the role `deploy`: builds, pushes, deploys, and nothing of tokens and clusters. */
  readonly deployToken: ISecret;
  /** First part of the names of ECR repositories. */
  readonly mirrorPrefix: string;
  /** Lets the grantee deploy, push and pull over the API: it may read the token that the API wants to see. */
  grantDeploy(grantee: IGrantable): void;
  /** Lets the grantee pull what the control plane copied to ECR. */
  grantPull(grantee: IGrantable): void;
}

export abstract class ControlPlaneBase extends Construct implements IControlPlane {
  abstract readonly deployToken: ISecret;
  abstract readonly mirrorPrefix: string;

  grantDeploy(grantee: IGrantable): void {
    this.deployToken.grantRead(grantee);
  }

  grantPull(grantee: IGrantable): void {
    Grant.addToPrincipal({ grantee, actions: ['ecr:GetAuthorizationToken'], resourceArns: ['*'] });
    Grant.addToPrincipal({ grantee, actions: [...PULL_ACTIONS], resourceArns: [this.mirrorArn] });
  }

  protected get mirrorArn(): string {
    const stack = Stack.of(this);
    return stack.formatArn({ service: 'ecr', resource: 'repository', resourceName: `${this.mirrorPrefix}/*` });
  }
}

export class ImportedControlPlane extends ControlPlaneBase {
  readonly mirrorPrefix: string;
  readonly deployToken: ISecret;

  constructor(scope: Construct, id: string, attributes: ControlPlaneAttributes) {
    super(scope, id);
    this.mirrorPrefix = attributes.mirrorPrefix ?? 'wharf';
    this.deployToken = Secret.fromSecretCompleteArn(this, 'DeployToken', attributes.deployTokenArn);
  }
}
