/**
 * The result: config, manifest and tags. Bytes follow BuildKit's exporter (exporter/containerimage/writer.go): config
 * as compact JSON with sorted top-level keys and Go's field order inside, manifest indented by two blanks.
 *
 * `created` never comes from a clock. It is SOURCE_DATE_EPOCH when given; otherwise the newest time in what the image
 * is made of (the base's own `created`, the time stamps in layers this build added), so that the same input gives the
 * same image id on any machine, any day.
 */
import { AppError } from '../../errors/index.js';
import {
  type ContainerConfig,
  type Descriptor,
  type Digest,
  digestOf,
  type HistoryEntry,
  parseReference,
} from '../../oci/index.js';
import type { Images } from '../../registry/index.js';
import type { ContentStore } from '../../store/index.js';
import { goJson, sortedObject } from './go-format.js';
import { type ImageForm, OCI_FORM } from './image-form.js';
import type { ImageDraft } from '../plan/image-draft.js';
import type { Layer } from '../plan/steps.js';

export interface Tag {
  readonly repository: string;
  readonly tag: string;
}

/** `repository[:tag]` of our own registry. @throws AppError BUILD_TAG_INVALID, REFERENCE_INVALID */
export function parseTag(text: string): Tag {
  const { registry, repository, tag, digest } = parseReference(text);
  if (registry !== undefined || digest !== undefined) {
    const why = registry === undefined ? 'it has a digest' : `it names the registry ${registry}`;
    throw new AppError('BUILD_TAG_INVALID', `tag ${JSON.stringify(text)}: ${why}`, {
      hint: 'repository[:tag] of this registry, for instance team/app:1',
    });
  }
  return { repository, tag: tag ?? 'latest' };
}

export interface ExportInput {
  readonly image: ImageDraft;
  readonly layers: readonly Layer[];
  /** How many of the layers came with the base image. */
  readonly baseLayers: number;
  readonly createdSeconds: number;
  readonly tags: readonly string[];
  /** Of the manifest. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** OCI's when absent. */
  readonly form?: ImageForm;
  /** The tags are for the index that this image will be in: it is stored in their repositories without them. */
  readonly isIndexEntry?: boolean;
  /** Further members of the config. */
  readonly extraConfig?: Readonly<Record<string, string>>;
}

export interface ExportedImage {
  readonly digest: Digest;
  readonly imageId: Digest;
  readonly tags: readonly string[];
  readonly layers: readonly Descriptor[];
  /** Bytes of the manifest. */
  readonly sizeBytes: number;
}

export interface ExportDeps {
  readonly content: ContentStore;
  readonly images: Images;
}

/** Writes config and manifest, links every blob, and points the tags at the image: last, and each in one transaction. */
export async function exportImage(deps: ExportDeps, input: ExportInput): Promise<ExportedImage> {
  const config = Buffer.from(imageConfigJson(input));
  const imageId = digestOf(config);
  const { form = OCI_FORM } = input;
  const layers = input.layers.map((layer) => form.layer(layer.descriptor));
  const manifest = Buffer.from(
    goJson(
      {
        schemaVersion: 2,
        mediaType: form.manifest,
        config: { mediaType: form.config, digest: imageId, size: config.length },
        layers,
        ...filledMap('annotations', input.annotations),
      },
      2,
    ),
  );
  await deps.content.putBytes(config, { expected: imageId });
  const tags = input.tags.map(parseTag);
  // Without a name it is in no repository, but can still be exported.
  if (tags.length === 0) await deps.content.putBytes(manifest);
  for (const [repository, names] of byRepository(tags)) {
    for (const digest of new Set([imageId, ...layers.map((layer) => layer.digest)])) {
      await deps.images.linkBlob(repository, digest);
    }
    await deps.images.putManifest(repository, manifest, form.manifest, input.isIndexEntry === true ? [] : names);
  }
  return {
    digest: digestOf(manifest),
    imageId,
    tags: tags.map(({ repository, tag }) => `${repository}:${tag}`),
    layers,
    sizeBytes: manifest.length,
  };
}

/** The tags' names, each once, by repository. */
export function byRepository(tags: readonly Tag[]): ReadonlyMap<string, readonly string[]> {
  const repositories = new Map<string, Set<string>>();
  for (const { repository, tag } of tags) {
    repositories.set(repository, (repositories.get(repository) ?? new Set<string>()).add(tag));
  }
  return new Map([...repositories].map(([repository, names]) => [repository, [...names]]));
}

/** The config document; its digest is the image id. */
export function imageConfigJson(input: ExportInput): string {
  const { image, layers, createdSeconds } = input;
  const created = `${new Date(createdSeconds * 1000).toISOString().slice(0, 19)}Z`;
  const own = image.history.map((entry) => ({ created, ...entry }));
  const history = [...inheritedHistory(image, input.baseLayers), ...own].map(historyEntry);
  return goJson(
    sortedObject({
      architecture: image.platform.architecture,
      ...(image.author === undefined || image.author === '' ? {} : { author: image.author }),
      config: containerConfig(image.config),
      created,
      history,
      os: image.platform.os,
      ...image.osFields,
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
      ...(image.platform.variant === undefined ? {} : { variant: image.platform.variant }),
      ...input.extraConfig,
    }),
  );
}

/** The base's history, made to count as many layers as there are: some tools write none, or too much. */
function inheritedHistory(image: ImageDraft, baseLayers: number): HistoryEntry[] {
  let counted = 0;
  const entries = image.inheritedHistory.map((entry): HistoryEntry => {
    if (entry.empty_layer === true) return entry;
    counted += 1;
    return counted > baseLayers ? { ...entry, empty_layer: true } : entry;
  });
  for (; counted < baseLayers; counted++) {
    const { baseCreated } = image;
    entries.push({
      ...(baseCreated === undefined ? {} : { created: baseCreated }),
      comment: 'buildkit.exporter.image.v0',
    });
  }
  return entries;
}

/** Members in the order of the Go type, empty ones left out. */
function historyEntry(entry: HistoryEntry): HistoryEntry {
  return {
    ...(entry.created === undefined ? {} : { created: entry.created }),
    ...filled('created_by', entry.created_by),
    ...filled('author', entry.author),
    ...filled('comment', entry.comment),
    ...(entry.empty_layer === true ? { empty_layer: true } : {}),
  };
}

function containerConfig(config: ContainerConfig): ContainerConfig {
  return {
    ...filled('User', config.User),
    ...filledMap('ExposedPorts', config.ExposedPorts),
    ...filledList('Env', config.Env),
    ...filledList('Entrypoint', config.Entrypoint),
    ...filledList('Cmd', config.Cmd),
    ...filledMap('Volumes', config.Volumes),
    ...filled('WorkingDir', config.WorkingDir),
    ...filledMap('Labels', config.Labels),
    ...filled('StopSignal', config.StopSignal),
    ...(config.ArgsEscaped === true ? { ArgsEscaped: true } : {}),
    ...(config.Healthcheck === undefined ? {} : { Healthcheck: config.Healthcheck }),
    ...filledList('OnBuild', config.OnBuild),
    ...filledList('Shell', config.Shell),
  };
}

function filled<K extends string>(name: K, value: string | undefined): { readonly [P in K]?: string } {
  return value === undefined || value === '' ? {} : ({ [name]: value } as { readonly [P in K]?: string });
}

function filledList<K extends string>(
  name: K,
  value: readonly string[] | undefined | null,
): { readonly [P in K]?: readonly string[] } {
  return value === undefined || value === null || value.length === 0
    ? {}
    : ({ [name]: value } as { readonly [P in K]?: readonly string[] });
}

export function filledMap<K extends string, T>(
  name: K,
  value: Readonly<Record<string, T>> | undefined | null,
): { readonly [P in K]?: Readonly<Record<string, T>> } {
  return value === undefined || value === null || Object.keys(value).length === 0
    ? {}
    : ({ [name]: sortedObject(value) } as { readonly [P in K]?: Readonly<Record<string, T>> });
}
