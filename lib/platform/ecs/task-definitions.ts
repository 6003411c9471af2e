/** Task definitions of ECS, which takes one new revision a second. */
import type { RegisterTaskDefinitionCommandInput, TaskDefinition } from '@aws-sdk/client-ecs';
import { type EcsCalls, present } from './calls.js';
import { isEcsError } from './errors.js';

export class EcsTaskDefinitions {
  constructor(private readonly ecs: EcsCalls) {}

  async register(input: RegisterTaskDefinitionCommandInput): Promise<TaskDefinition> {
    const output = await this.ecs.call('RegisterTaskDefinition', (sdk, client) =>
      client.send(new sdk.RegisterTaskDefinitionCommand(input)),
    );
    return present(output.taskDefinition, 'RegisterTaskDefinition', 'taskDefinition');
  }

  /** Undefined when ECS does not know it. */
  async describe(arn: string): Promise<TaskDefinition | undefined> {
    try {
      const output = await this.ecs.call('DescribeTaskDefinition', (sdk, client) =>
        client.send(new sdk.DescribeTaskDefinitionCommand({ taskDefinition: arn })),
      );
      return output.taskDefinition;
    } catch (error) {
      if (isEcsError(error, 'ClientException', 'InvalidParameterException')) return undefined;
      throw error;
    }
  }
}
