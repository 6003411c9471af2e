/** Images as the registry has them: repositories, tags, and what is inside an image. */
import * as z from 'zod';
import { imageArchive } from '../../build/index.js';
import { AppError } from '../../errors/index.js';
import {
  type Digest,
  formatPlatform,
  isRepositoryName,
  parseImageConfig,
  parseManifestDocument,
  parseReference,
} from '../../oci/index.js';
import type { StoredManifest } from '../../registry/index.js';
import type { ApiDeps } from '../api-deps.js';
import { archiveDeps, archiveOptions, ArchiveQuery, tarResponse } from './archives.js';
import { route, type Route } from '../route.js';
import { Image, listOf, page, Tag } from '../schemas/index.js';

export function imageRoutes(deps: ApiDeps): readonly Route[] {
  const tag = 'Images';
  return [
    route('GET', '/v1/repositories', {
      id: 'listRepositories',
      summary: 'Names of repositories, sorted',
      tag,
      access: 'read',
      query: z.strictObject(page),
      answers: [{ status: 200, description: 'A page of names', schema: listOf('repositories', z.string()) }],
      handler: async ({ query }) => {
        const limit = query.limit ?? 100;
        const after = query.cursor === undefined ? {} : { after: decodeName(query.cursor) };
        const names = await deps.images.repositories({ limit: limit + 1, ...after });
        const last = names[limit - 1];
        const more = names.length > limit && last !== undefined ? { cursor: encodeName(last) } : {};
        return { body: { repositories: names.slice(0, limit), ...more } };
      },
    }),
    route('GET', '/v1/repositories/{name+}/tags', {
      id: 'listTags',
      summary: 'Tags of a repository, sorted',
      tag,
      access: 'read',
      params: z.strictObject({ name: z.string() }),
      answers: [{ status: 200, description: 'All tags', schema: listOf('tags', Tag) }],
      handler: async ({ params }) => {
        const tags = isRepositoryName(params.name) ? await deps.images.tags(params.name) : undefined;
        if (tags !== undefined) return { body: { tags } };
        throw new AppError('REPOSITORY_NOT_FOUND', `there is no repository ${params.name}`, { kind: 'not-found' });
      },
    }),
    route('GET', '/v1/images/{reference+}/export', {
      id: 'exportImage',
      summary: 'The image as one tar: an OCI layout, what docker load takes, or the files of its root folder',
      tag,
      access: 'read',
      params: z.strictObject({ reference: z.string() }),
      query: ArchiveQuery,
      answers: [{ status: 200, description: 'The tar', streams: ['application/x-tar'] }],
      handler: async ({ params, query, call }) => {
        return tarResponse(deps, call, await imageArchive(archiveDeps(deps), params.reference, archiveOptions(query)));
      },
    }),
    route('GET', '/v1/images/{reference+}', {
      id: 'getImage',
      summary: 'What a tag or digest stands for: manifest, config and layers',
      tag,
      access: 'read',
      params: z.strictObject({ reference: z.string() }),
      answers: [{ status: 200, description: 'The image', schema: Image }],
      handler: async ({ params }) => ({ body: await imageOf(deps, params.reference) }),
    }),
  ];
}

async function imageOf(deps: ApiDeps, name: string): Promise<object> {
  const reference = parseReference(name);
  const tag = reference.tag ?? (reference.digest === undefined ? 'latest' : undefined);
  const { repository } = reference;
  const found = await deps.images.manifest(
    repository,
    reference.digest === undefined ? { tag: tag ?? 'latest' } : { digest: reference.digest },
  );
  if (reference.registry !== undefined || found === undefined) {
    throw new AppError('IMAGE_NOT_FOUND', `there is no image ${name} in the registry`, { kind: 'not-found' });
  }
  const { digest, mediaType } = found;
  return { repository, ...(tag === undefined ? {} : { tag }), digest, mediaType, ...(await contentOf(deps, found)) };
}

async function contentOf(deps: ApiDeps, stored: StoredManifest): Promise<object> {
  const document = parseManifestDocument(stored.bytes, stored.mediaType);
  if (document.kind === 'index') {
    return { manifests: document.index.manifests, sizeBytes: 0 };
  }
  const { config, layers } = document.manifest;
  const sizeBytes = layers.reduce((sum, layer) => sum + layer.size, 0);
  return { imageId: config.digest, layers, sizeBytes, ...(await configOf(deps, config.digest)) };
}

/** Nothing for artifacts whose config is not that of an image. */
async function configOf(deps: ApiDeps, digest: Digest): Promise<object> {
  const bytes = await deps.content.read(digest);
  if (bytes === undefined) return {};
  try {
    const config = parseImageConfig(bytes);
    const { os, architecture, variant } = config;
    return { config, platform: formatPlatform({ os, architecture, ...(variant === undefined ? {} : { variant }) }) };
  } catch {
    return {};
  }
}

function encodeName(name: string): string {
  return Buffer.from(name).toString('base64url');
}

function decodeName(cursor: string): string {
  const name = Buffer.from(cursor, 'base64url').toString();
  if (isRepositoryName(name)) return name;
  throw new AppError('CURSOR_INVALID', `cursor ${JSON.stringify(cursor.slice(0, 80))} is not one of ours`, {
    hint: 'the cursor of an earlier page, unchanged',
  });
}
