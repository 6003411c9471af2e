/** What is asked about tasks: describe, list, and the protection of service tasks from scale-in. */
import * as z from 'zod';
import { invalidParameter, serviceNotFound } from '../ecs-error.js';
import { changeTask } from '../tasks/task-changes.js';
import type { TaskState } from '../state/model.js';
import { cluster, maxResults, nextToken, strings, text } from './input.js';
import { operation, requireCluster, type Failure, type Operation } from './operation.js';
import { pageOf } from './page.js';
import { epochSeconds, taskView } from './task-view.js';

const MINUTE_MS = 60_000;

const describeTasks = operation(
  z.object({ cluster, tasks: strings.min(1).max(100), include: z.array(z.enum(['TAGS'])).optional() }),
  async (api, input) => {
    const { state, arns } = api.context;
    const { name } = await requireCluster(api, input.cluster);
    const withTags = input.include?.includes('TAGS') === true;
    const tasks: object[] = [];
    const failures: Failure[] = [];
    for (const asked of input.tasks) {
      const id = arns.shortName('task', asked, name);
      const task = await state.task(name, id);
      if (task === undefined) failures.push({ arn: arns.task(name, id), reason: 'MISSING' });
      else tasks.push(taskView(task, withTags));
    }
    return { tasks, failures };
  },
);

const listTasks = operation(
  z.object({
    cluster,
    containerInstance: text.optional(),
    family: text.optional(),
    startedBy: text.optional(),
    serviceName: text.optional(),
    daemonName: text.optional(),
    desiredStatus: z.enum(['RUNNING', 'PENDING', 'STOPPED']).optional(),
    launchType: z.enum(['EC2', 'FARGATE', 'EXTERNAL', 'MANAGED_INSTANCES']).optional(),
    nextToken,
    maxResults: maxResults(),
  }),
  async (api, input) => {
    const { state } = api.context;
    const { name } = await requireCluster(api, input.cluster);
    if (input.daemonName !== undefined) {
      throw invalidParameter('daemonName: there are no daemons but services here; use serviceName.');
    }
    const service =
      input.serviceName === undefined ? undefined : api.context.arns.shortName('service', input.serviceName, name);
    if (service !== undefined && (await state.services.get(name, service)) === undefined) throw serviceNotFound();
    const desired = input.desiredStatus ?? 'RUNNING';
    // ECS never wants a task to be PENDING, so that filter finds nothing.
    const all = [
      ...(await state.tasks.all(name)),
      ...(desired === 'STOPPED' ? await state.stoppedTasks.all(name) : []),
    ].filter((task) => task.desiredStatus === desired);
    const instance =
      input.containerInstance === undefined
        ? undefined
        : api.context.arns.shortName('container-instance', input.containerInstance, name);
    const wanted = (task: TaskState): boolean =>
      (instance === undefined || task.instanceId === instance) &&
      (input.family === undefined || task.family === input.family) &&
      (input.startedBy === undefined || task.startedBy === input.startedBy) &&
      (service === undefined || task.serviceName === service) &&
      (input.launchType === undefined || input.launchType === 'EC2');
    const page = pageOf(
      all.filter(wanted).sort((a, b) => (a.id < b.id ? -1 : 1)),
      (task) => task.id,
      input,
    );
    return { taskArns: page.items.map((task) => task.arn), nextToken: page.nextToken };
  },
);

const getTaskProtection = operation(
  z.object({ cluster: text, tasks: strings.max(100).default([]) }),
  async (api, input) => {
    const { state, arns, deps } = api.context;
    const { name } = await requireCluster(api, input.cluster);
    const nowMs = deps.clock.nowMs();
    if (input.tasks.length === 0) {
      const all = (await state.tasks.all(name)).filter((task) => (task.protectedUntilMs ?? 0) > nowMs);
      return { protectedTasks: all.map((task) => protectionView(task, nowMs)), failures: [] };
    }
    const protectedTasks: object[] = [];
    const failures: Failure[] = [];
    for (const asked of input.tasks) {
      const id = arns.shortName('task', asked, name);
      const task = await state.task(name, id);
      if (task === undefined) failures.push({ arn: arns.task(name, id), reason: 'MISSING' });
      else protectedTasks.push(protectionView(task, nowMs));
    }
    return { protectedTasks, failures };
  },
);

const updateTaskProtection = operation(
  z.object({
    cluster: text,
    tasks: strings.min(1).max(10),
    protectionEnabled: z.boolean(),
    expiresInMinutes: z.int().min(1).max(2880).default(120),
  }),
  async (api, input) => {
    const { state, arns, deps } = api.context;
    const { name } = await requireCluster(api, input.cluster);
    const nowMs = deps.clock.nowMs();
    const protectedTasks: object[] = [];
    const failures: Failure[] = [];
    for (const asked of input.tasks) {
      const id = arns.shortName('task', asked, name);
      const task = await state.task(name, id);
      if (task === undefined || task.serviceName === undefined || task.desiredStatus === 'STOPPED') {
        failures.push({
          arn: arns.task(name, id),
          reason: task === undefined ? 'MISSING' : 'TASK_NOT_VALID',
          ...(task === undefined ? {} : { detail: 'Only running tasks of a service can be protected.' }),
        });
        continue;
      }
      const change = await changeTask(
        api.context,
        name,
        id,
        (now) => ({
          ...now,
          protectedUntilMs: input.protectionEnabled ? nowMs + input.expiresInMinutes * MINUTE_MS : 0,
        }),
        true,
      );
      if (change !== undefined) protectedTasks.push(protectionView(change.after, nowMs));
      api.scheduler.wake(name, task.serviceName);
    }
    return { protectedTasks, failures };
  },
);

function protectionView(task: TaskState, nowMs: number): object {
  const on = (task.protectedUntilMs ?? 0) > nowMs;
  return {
    taskArn: task.arn,
    protectionEnabled: on,
    expirationDate: on ? epochSeconds(task.protectedUntilMs) : undefined,
  };
}

export const taskQueryOperations: Readonly<Record<string, Operation>> = {
  DescribeTasks: describeTasks,
  ListTasks: listTasks,
  GetTaskProtection: getTaskProtection,
  UpdateTaskProtection: updateTaskProtection,
};
