/** Where a tag pointed, taking one away, and bringing back what was deleted or moved in the last seven days. */
import * as z from 'zod';
import { AppError } from '../../errors/index.js';
import { type Digest, isRepositoryName, isTag } from '../../oci/index.js';
import type { ApiDeps } from '../api-deps.js';
import { route, type Route } from '../route.js';
import { listOf, RestoredTag, TagHistoryEntry, UndeleteRequest } from '../schemas/index.js';

export function tagHistoryRoutes({ registry }: ApiDeps): readonly Route[] {
  const common = { tag: 'Images' } as const;
  const params = z.strictObject({
    name: z.string().refine(isRepositoryName, { error: 'is not a repository name' }),
    tag: z.string().refine(isTag, { error: 'is not a tag' }),
  });
  return [
    route('GET', '/v1/repositories/{name+}/tags/{tag}/history', {
      ...common,
      id: 'getTagHistory',
      summary: 'Where the tag pointed in the last ninety days, newest first; no digest: it was deleted then',
      access: 'read',
      params,
      answers: [{ status: 200, description: 'At most 100 entries', schema: listOf('history', TagHistoryEntry) }],
      handler: async ({ params: { name, tag } }) => {
        const history = await registry.tagList.history(name, tag);
        if (history.length > 0) return { body: { history } };
        throw new AppError('TAG_NOT_FOUND', `there is and was no tag ${name}:${tag}`, { kind: 'not-found' });
      },
    }),
    route('DELETE', '/v1/repositories/{name+}/tags/{tag}', {
      ...common,
      id: 'deleteTag',
      summary: 'Takes the tag away; for seven days it can be brought back',
      access: 'admin',
      params,
      answers: [{ status: 204, description: 'It is gone' }],
      handler: async ({ params: { name, tag } }) => {
        await registry.deleteTag(name, tag);
        return { status: 204 };
      },
    }),
    route('POST', '/v1/repositories/{name+}/tags/{tag}/undelete', {
      ...common,
      id: 'undeleteTag',
      summary: 'Points the tag at where it pointed before, or at a digest of its history, with what was deleted',
      access: 'deploy',
      params,
      body: UndeleteRequest,
      answers: [{ status: 200, description: 'Where it points now', schema: RestoredTag }],
      handler: async ({ params: { name, tag }, body }) => {
        const digest = await registry.undelete(name, tag, body.digest as Digest | undefined);
        return { body: { repository: name, tag, digest } };
      },
    }),
  ];
}
