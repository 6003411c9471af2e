/** Tags of anything that has an ARN of its own: they live in the record of what they tag. */
import * as z from 'zod';
import type { ParsedArn } from '../arn.js';
import { groupOf } from '../capacity/group.js';
import { EcsError, invalidParameter } from '../ecs-error.js';
import { revisionKey } from '../state/engine-state.js';
import type { Tag } from '../state/model.js';
import type { Table } from '../state/table.js';
import { providerChanged } from './capacity-providers.js';
import { strings, tags, text } from './input.js';
import { operation, type Api, type Operation } from './operation.js';
import { parseDefinitionName } from './task-definitions.js';

const MOST_TAGS = 50;

interface Tagged {
  readonly tags: readonly Tag[];
}

const listTagsForResource = operation(z.object({ resourceArn: text.min(1) }), async (api, input) => {
  const tagged = await tagsOf(api, input.resourceArn, () => undefined);
  // As its model has it: the operations that change tags have an error of their own for this.
  if (tagged === undefined) throw invalidParameter(`The resource ${input.resourceArn} was not found.`);
  return { tags: tagged };
});

const tagResource = operation(z.object({ resourceArn: text.min(1), tags }), async (api, input) => {
  await changeTags(api, input.resourceArn, (before) => {
    const merged = [...new Map([...before, ...input.tags].map((tag) => [tag.key, tag])).values()];
    if (merged.length > MOST_TAGS) throw invalidParameter(`A resource has at most ${String(MOST_TAGS)} tags.`);
    return merged;
  });
  await tagsChanged(api, input.resourceArn);
  return {};
});

const untagResource = operation(z.object({ resourceArn: text.min(1), tagKeys: strings }), async (api, input) => {
  await changeTags(api, input.resourceArn, (before) => before.filter((tag) => !input.tagKeys.includes(tag.key)));
  await tagsChanged(api, input.resourceArn);
  return {};
});

/** @throws InvalidParameterException for what is no ARN, ResourceNotFoundException for what is not there */
async function changeTags(
  api: Api,
  arn: string,
  change: (tags: readonly Tag[]) => readonly Tag[] | undefined,
): Promise<void> {
  if ((await tagsOf(api, arn, change)) !== undefined) return;
  throw new EcsError('ResourceNotFoundException', 'The specified resource was not found.');
}

/** The tags as they stand after the change; undefined when the resource is not there. */
async function tagsOf(
  api: Api,
  arn: string,
  change: (tags: readonly Tag[]) => readonly Tag[] | undefined,
): Promise<readonly Tag[] | undefined> {
  const parsed = api.context.arns.parse(arn);
  const place = parsed === undefined ? undefined : placeOf(api, parsed);
  if (place === undefined)
    throw invalidParameter(`Invalid identifier: "${arn}" is not the ARN of a resource with tags.`);
  for (const table of place.tables) {
    const checked = (before: readonly Tag[]): readonly Tag[] | undefined => {
      const next = change(before);
      // They tell the shape of the provider's group.
      if (next !== undefined && parsed?.kind === 'capacity-provider') groupOf(next, api.context.options);
      return next;
    };
    const after = await update(table, place.scope, place.sort, checked);
    if (after !== undefined) return after;
  }
  return undefined;
}

async function tagsChanged(api: Api, arn: string): Promise<void> {
  const parsed = api.context.arns.parse(arn);
  if (parsed?.kind === 'capacity-provider') await providerChanged(api, parsed.path[0] ?? '');
}

async function update<T extends Tagged>(
  table: Table<T>,
  scope: string,
  sort: string,
  change: (tags: readonly Tag[]) => readonly Tag[] | undefined,
): Promise<readonly Tag[] | undefined> {
  const after = await table.update(scope, sort, (value) => {
    const next = change(value.tags);
    return next && { ...value, tags: next };
  });
  return after?.tags;
}

interface Place {
  readonly tables: readonly Table<Tagged>[];
  readonly scope: string;
  readonly sort: string;
}

function placeOf(api: Api, arn: ParsedArn): Place | undefined {
  const { state } = api.context;
  const [first = '', second = ''] = arn.path;
  // A table of something with more members is a table of something with tags: `update` only replaces that member.
  const of = (...tables: readonly object[]): readonly Table<Tagged>[] => tables as readonly Table<Tagged>[];
  switch (arn.kind) {
    case 'cluster':
      return { tables: of(state.clusters), scope: '', sort: first };
    case 'capacity-provider':
      return { tables: of(state.providers), scope: '', sort: first };
    case 'container-instance':
      return { tables: of(state.instances), scope: first, sort: second };
    case 'service':
      return { tables: of(state.services), scope: first, sort: second };
    case 'task':
      return { tables: of(state.tasks, state.stoppedTasks), scope: first, sort: second };
    case 'task-definition': {
      const { family, revision } = parseDefinitionName(api, first);
      return { tables: of(state.taskDefinitions), scope: family, sort: revisionKey(revision ?? 0) };
    }
    case 'container':
    case 'service-deployment':
    case 'service-revision':
      return undefined;
    default:
      return undefined;
  }
}

export const tagOperations: Readonly<Record<string, Operation>> = {
  ListTagsForResource: listTagsForResource,
  TagResource: tagResource,
  UntagResource: untagResource,
};
