/** The account that the functions' tests share: ECS is our engine with a scripted agent, ECR our registry. */
import { ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import { type Account, type AccountOptions, openAccount } from '../fakes/account/account.js';
import { type EcrStandIn, startEcrStandIn } from '../fakes/account/ecr.js';
import { type EcsStandIn, startEcsStandIn } from '../fakes/account/ecs.js';
import type { JsonFault } from '../fakes/json-api.js';
import { sqsEvent, type SqsEvent } from '../fakes/lambda/event-source.js';
import { type Synthesis, synthesise } from '../synth/synthesis.js';

export { ADMIN_TOKEN, DEPLOY_TOKEN } from '../fakes/account/account.js';

export const FUNCTIONS = ['api', 'registry', 'builder', 'reconciler', 'collector'] as const;
export type FunctionName = (typeof FUNCTIONS)[number];

export interface Cloud extends Account {
  readonly synthesis: Synthesis;
  readonly ecs: EcsStandIn;
  readonly ecr: EcrStandIn;
  /** The messages that wait in the build queue, as Lambda hands them over: one event each. */
  takeBuildEvents(): Promise<SqsEvent[]>;
}

export type CloudFaults = NonNullable<AccountOptions['faults']> & {
  readonly ecs?: (operation: string) => JsonFault;
  readonly ecr?: (operation: string) => JsonFault;
};

export async function openCloud(faults: CloudFaults = {}): Promise<Cloud> {
  const synthesis = synthesise();
  const [ecs, ecr] = await Promise.all([startEcsStandIn(faults.ecs), startEcrStandIn(undefined, faults.ecr)]);
  const account = await openAccount({ synthesis, ecsEndpoint: ecs.endpoint, ecrEndpoint: ecr.endpoint, faults });
  return {
    ...account,
    synthesis,
    ecs,
    ecr,
    takeBuildEvents: () => takeEvents(account),
    async close() {
      await account.close();
      await ecs.close();
      await ecr.close();
      synthesis.remove();
    },
  };
}

async function takeEvents({ services, templates }: Account): Promise<SqsEvent[]> {
  const queue = templates.ofType('AWS::SQS::Queue').find(({ id }) => id.includes('BuilderQueue'))?.id ?? '';
  const QueueUrl = `${services.endpoints.sqs}/000000000000/${queue}`;
  const input = { QueueUrl, MaxNumberOfMessages: 10, VisibilityTimeout: 60 };
  const { Messages = [] } = await services.queues.send(new ReceiveMessageCommand(input));
  return Messages.map((message) => sqsEvent([message], queue));
}
