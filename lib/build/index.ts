export { type BuildLog, type EmitEvent } from './build-log.js';
export { decodeMessage } from './build-records.js';
export { BuildService, type BuildServiceDeps, createBuilds } from './builds.js';
export { BuildSecrets, type BuildSecretValues } from './build-secrets.js';
export { BuildContext } from './context.js';
export { type ContextOffer, type ContextSent, ContextUploads } from './context-uploads.js';
export { type KnownContext, SentContexts, type SentContextsDeps } from './sent-contexts.js';
export {
  type BuildTasks,
  type BuildTaskState,
  HandOver,
  type HandOverDeps,
  type HandOverOptions,
} from './hand-over.js';
export { type ExportedImage, parseTag, type Tag } from './export.js';
export { ImageBuilder, type ImageBuilderDeps, type ImageBuilderOptions } from './image-builder.js';
export type * from './report.js';
export { sentContext } from './named-contexts.js';
export { type StepKey } from './keys.js';
export { EgressGuard, type EgressOptions, type Resolve } from './egress-guard.js';
export type { RemoteSourcesOptions } from './remote-files.js';
export {
  ARCHIVE_FORMATS,
  type ArchiveFormat,
  builtArchive,
  imageArchive,
  type ImageArchiveOptions,
} from './image-archive.js';
export { RemoteImages, type RemoteImagesDeps, type RemoteImagesOptions } from './remote-images.js';
export { sandboxElsewhere } from './sandbox-elsewhere.js';
export type { Sandbox, SandboxMount, SandboxRequest, SandboxResult } from './sandbox.js';
export { type StepRecord } from './step-cache.js';
export * from './types.js';
export { type BuildFunction, BuildWorker, type BuildWorkerDeps, type BuildWorkerOptions } from './worker.js';
