/** Task definitions: numbered revisions of a family, never changed once registered. */
import * as z from 'zod';
import { clientError, invalidParameter } from '../ecs-error.js';
import { revisionKey } from '../state/engine-state.js';
import type { TaskDefinitionState } from '../state/model.js';
import { transactUntilWon } from '../state/table.js';
import { maxResults, nextToken, strings, text } from './input.js';
import { operation, type Api, type Failure, type Operation } from './operation.js';
import { pageOf } from './page.js';
import { refuseUnsupported } from './runtime-support.js';
import { registerTaskDefinition as registerInput } from './task-definition-input.js';
import { checkTaskDefinition } from './task-definition-rules.js';
import { taskDefinitionView } from './task-definition-view.js';

const registerTaskDefinition = operation(registerInput, async (api, input) => {
  const { state, arns, deps } = api.context;
  const { tags, ...definition } = input;
  checkTaskDefinition(definition);
  refuseUnsupported(definition, deps.agent.abilities);
  const { family } = definition;
  // The counter and the revision are one write: no number is given twice or skipped.
  const registered = await transactUntilWon(state.records, async () => {
    const counter = await state.families.stored('', family);
    const revision = (counter?.value.latestRevision ?? 0) + 1;
    const value: TaskDefinitionState = {
      arn: arns.taskDefinition(family, revision),
      family,
      revision,
      status: 'ACTIVE',
      definition,
      registeredAtMs: deps.clock.nowMs(),
      tags: tags ?? [],
    };
    return {
      result: value,
      writes: [
        {
          op: 'put',
          key: state.families.key('', family),
          value: { family, latestRevision: revision },
          expect: counter === undefined ? 'absent' : { version: counter.version },
        },
        {
          op: 'put',
          key: state.taskDefinitions.key(family, revisionKey(revision)),
          value,
          expect: 'absent',
        },
      ],
    };
  });
  if (registered === undefined) throw clientError('The task definition could not be registered.');
  return { taskDefinition: taskDefinitionView(registered), tags: registered.tags };
});

const describeTaskDefinition = operation(
  z.object({ taskDefinition: text, include: z.array(z.enum(['TAGS'])).optional() }),
  async (api, input) => {
    const definition = await requireTaskDefinition(api, input.taskDefinition);
    const withTags = input.include?.includes('TAGS') === true;
    return { taskDefinition: taskDefinitionView(definition), tags: withTags ? definition.tags : [] };
  },
);

const deregisterTaskDefinition = operation(z.object({ taskDefinition: text }), async (api, input) => {
  const { family, revision } = parseDefinitionName(api, input.taskDefinition);
  if (revision === undefined) throw invalidParameter(`Invalid revision number. Number: ${input.taskDefinition}`);
  const nowMs = api.context.deps.clock.nowMs();
  const after = await api.context.state.taskDefinitions.update(family, revisionKey(revision), (now) =>
    now.status === 'ACTIVE' ? { ...now, status: 'INACTIVE', deregisteredAtMs: nowMs } : undefined,
  );
  if (after === undefined) throw noDefinition();
  return { taskDefinition: taskDefinitionView(after) };
});

const deleteTaskDefinitions = operation(z.object({ taskDefinitions: strings.min(1).max(10) }), async (api, input) => {
  const { state, deps } = api.context;
  const failures: Failure[] = [];
  const taskDefinitions: object[] = [];
  for (const name of input.taskDefinitions) {
    const { family, revision } = parseDefinitionName(api, name);
    const existing = revision === undefined ? undefined : await state.taskDefinition(family, revision);
    if (existing === undefined || revision === undefined) {
      const detail =
        'The specified task definition does not exist. Specify a valid account, family, revision and try again.';
      failures.push({ arn: name, reason: 'TASK_DEFINITION_NOT_FOUND', detail });
    } else if (existing.status === 'ACTIVE') {
      const detail =
        'The specified task definition is still in ACTIVE status. Please deregister the target and try again.';
      failures.push({ arn: existing.arn, reason: 'TASK_DEFINITION_ACTIVE', detail });
    } else {
      const nowMs = deps.clock.nowMs();
      const after = await state.taskDefinitions.update(family, revisionKey(revision), (now) => ({
        ...now,
        status: 'DELETE_IN_PROGRESS',
        deleteRequestedAtMs: now.deleteRequestedAtMs ?? nowMs,
      }));
      if (after !== undefined) taskDefinitions.push(taskDefinitionView(after));
    }
  }
  return { taskDefinitions, failures };
});

const listTaskDefinitions = operation(
  z.object({
    familyPrefix: text.optional(),
    status: z.enum(['ACTIVE', 'INACTIVE', 'DELETE_IN_PROGRESS']).optional(),
    sort: z.enum(['ASC', 'DESC']).optional(),
    nextToken,
    maxResults: maxResults(),
  }),
  async (api, input) => {
    const { state } = api.context;
    // Despite its name the prefix is a whole family name in this operation.
    const families =
      input.familyPrefix === undefined
        ? (await state.families.all('')).map((item) => item.family)
        : [input.familyPrefix];
    const all = (await Promise.all(families.map((family) => state.taskDefinitions.all(family)))).flat();
    const rows = all
      .filter((definition) => definition.status === (input.status ?? 'ACTIVE'))
      .map((definition) => ({ definition, sort: `${definition.family}:${revisionKey(definition.revision)}` }));
    if (input.sort === 'DESC') {
      const page = pageOf(
        rows.reverse().map((row, index) => ({ ...row, sort: revisionKey(index) })),
        (row) => row.sort,
        input,
      );
      return { taskDefinitionArns: page.items.map((row) => row.definition.arn), nextToken: page.nextToken };
    }
    const page = pageOf(rows, (row) => row.sort, input);
    return { taskDefinitionArns: page.items.map((row) => row.definition.arn), nextToken: page.nextToken };
  },
);

const listTaskDefinitionFamilies = operation(
  z.object({
    familyPrefix: text.optional(),
    status: z.enum(['ACTIVE', 'INACTIVE', 'ALL']).optional(),
    nextToken,
    maxResults: maxResults(),
  }),
  async (api, input) => {
    const { state } = api.context;
    const status = input.status ?? 'ACTIVE';
    const families: string[] = [];
    for (const { family } of await state.families.all('')) {
      if (!family.startsWith(input.familyPrefix ?? '')) continue;
      const revisions = await state.taskDefinitions.all(family);
      const active = revisions.some((definition) => definition.status === 'ACTIVE');
      if (status === 'ALL' || active === (status === 'ACTIVE')) families.push(family);
    }
    const page = pageOf(families, (family) => family, input);
    return { families: page.items, nextToken: page.nextToken };
  },
);

/** `family`, `family:revision` or an ARN. */
export function parseDefinitionName(api: Api, name: string): { readonly family: string; readonly revision?: number } {
  const arn = name.startsWith('arn:') ? api.context.arns.parse(name) : undefined;
  if (name.startsWith('arn:') && arn?.kind !== 'task-definition') {
    throw invalidParameter(`Invalid identifier: "${name}" is not the ARN of a task-definition.`);
  }
  const [family = '', revision, more] = (arn?.path.join('/') ?? name).split(':');
  if (more !== undefined || family === '') throw clientError(`Invalid task definition "${name}".`);
  if (revision === undefined) return { family };
  if (!/^\d{1,6}$/.test(revision) || Number(revision) === 0) {
    throw clientError(`Invalid revision number. Number: ${revision}`);
  }
  return { family, revision: Number(revision) };
}

/** @throws ClientException when there is none */
export async function requireTaskDefinition(api: Api, name: string): Promise<TaskDefinitionState> {
  const { family, revision } = parseDefinitionName(api, name);
  const definition = await api.context.state.taskDefinition(family, revision);
  if (definition === undefined) throw noDefinition();
  return definition;
}

/** One that may be launched. @throws ClientException when it is missing or INACTIVE */
export async function requireActiveTaskDefinition(api: Api, name: string): Promise<TaskDefinitionState> {
  const { family, revision } = parseDefinitionName(api, name);
  const definition = await api.context.state.taskDefinition(family, revision);
  if (definition === undefined) throw clientError('TaskDefinition not found.');
  if (definition.status !== 'ACTIVE') throw clientError('TaskDefinition is inactive');
  return definition;
}

const noDefinition = (): Error => clientError('Unable to describe task definition.');

export const taskDefinitionOperations: Readonly<Record<string, Operation>> = {
  RegisterTaskDefinition: registerTaskDefinition,
  DescribeTaskDefinition: describeTaskDefinition,
  DeregisterTaskDefinition: deregisterTaskDefinition,
  DeleteTaskDefinitions: deleteTaskDefinitions,
  ListTaskDefinitions: listTaskDefinitions,
  ListTaskDefinitionFamilies: listTaskDefinitionFamilies,
};
