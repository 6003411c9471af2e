/** Task definitions of ECS, which takes one new revision a second. */
import {
  DescribeTaskDefinitionCommand,
  RegisterTaskDefinitionCommand,
  type RegisterTaskDefinitionCommandInput,
  type TaskDefinition,
} from '@aws-sdk/client-ecs';
import { type EcsCalls, present } from './calls.js';
import { isEcsError } from './errors.js';

export class EcsTaskDefinitions {
  constructor(private readonly ecs: EcsCalls) {}

  async register(input: RegisterTaskDefinitionCommandInput): Promise<TaskDefinition> {
    const output = await this.ecs.call('RegisterTaskDefinition', () =>
      this.ecs.client.send(new RegisterTaskDefinitionCommand(input)),
    );
    return present(output.taskDefinition, 'RegisterTaskDefinition', 'taskDefinition');
  }

  /** Undefined when ECS does not know it. */
  async describe(arn: string): Promise<TaskDefinition | undefined> {
    try {
      const output = await this.ecs.call('DescribeTaskDefinition', () =>
        this.ecs.client.send(new DescribeTaskDefinitionCommand({ taskDefinition: arn })),
      );
      return output.taskDefinition;
    } catch (error) {
      if (isEcsError(error, 'ClientException', 'InvalidParameterException')) return undefined;
      throw error;
    }
  }
}
