/** What the endpoint asks of the ECS API for a task, as the ECS agent does: tags, and task protection. */
import * as z from 'zod';
import type { EcsCall, TaskPayload } from '../types.js';
import type { TaskTags } from './metadata-view.js';

const tagList = z.object({ tags: z.array(z.object({ key: z.string(), value: z.string() })) });
const protectionAnswer = z.object({
  protectedTasks: z.array(
    z.object({ taskArn: z.string(), protectionEnabled: z.boolean(), expirationDate: z.number().optional() }),
  ),
  failures: z.array(z.object({ arn: z.string(), reason: z.string(), detail: z.string().optional() })),
});
const protectionChange = z.object({
  ProtectionEnabled: z.boolean(),
  ExpiresInMinutes: z.int().min(1).max(2880).optional(),
});

/** Of the task and its container instance; none of what cannot be found. */
export async function taskTags(ecs: EcsCall | undefined, task: TaskPayload): Promise<TaskTags> {
  const of = async (resourceArn: string | undefined): Promise<Readonly<Record<string, string>>> => {
    if (ecs === undefined || resourceArn === undefined) return {};
    const answer = await ecs('ListTagsForResource', { resourceArn }).catch(() => undefined);
    const { data } = tagList.safeParse(answer);
    return Object.fromEntries((data?.tags ?? []).map(({ key, value }) => [key, value]));
  };
  return { task: await of(task.taskArn), instance: await of(task.containerInstanceArn) };
}

/**
 * The state of the task's protection, changed first when a change is given.
 * @param change the body of a PUT, whatever it is; undefined for a GET
 */
export async function changeProtection(
  ecs: EcsCall | undefined,
  task: TaskPayload,
  change: unknown,
): Promise<{ readonly status: number; readonly body: object }> {
  const Arn = task.taskArn;
  const refuse = (status: number, Code: string, Message: string): { status: number; body: object } => ({
    status,
    body: { error: { Arn, Code, Message } },
  });
  const asked = change === undefined ? undefined : protectionChange.safeParse(change);
  if (asked?.success === false) {
    const wanted = '{"ProtectionEnabled": true, "ExpiresInMinutes": 1 to 2880}';
    return refuse(400, 'InvalidParameterException', `UpdateTaskProtection: the body has to be ${wanted}`);
  }
  if (ecs === undefined) return refuse(500, 'ServerException', 'the scheduler is not there yet');
  const target = { cluster: task.clusterName, tasks: [Arn] };
  try {
    const answer =
      asked === undefined
        ? await ecs('GetTaskProtection', target)
        : await ecs('UpdateTaskProtection', {
            ...target,
            protectionEnabled: asked.data.ProtectionEnabled,
            ...(asked.data.ExpiresInMinutes === undefined ? {} : { expiresInMinutes: asked.data.ExpiresInMinutes }),
          });
    return protectionView(protectionAnswer.parse(answer));
  } catch (error) {
    return refuse(400, 'ClientException', error instanceof Error ? error.message : String(error));
  }
}

function protectionView({ protectedTasks: [protection], failures: [failure] }: z.infer<typeof protectionAnswer>): {
  readonly status: number;
  readonly body: object;
} {
  if (failure !== undefined) {
    return { status: 200, body: { failure: { Arn: failure.arn, Reason: failure.reason, Detail: failure.detail } } };
  }
  const until = protection?.expirationDate;
  return {
    status: 200,
    body: {
      protection: {
        ...(until === undefined ? {} : { ExpirationDate: new Date(until * 1000).toISOString() }),
        ProtectionEnabled: protection?.protectionEnabled ?? false,
        TaskArn: protection?.taskArn,
      },
    },
  };
}
