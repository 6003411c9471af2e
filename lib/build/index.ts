export { type BuildLog, type EmitEvent } from './build-log.js';
export { decodeMessage } from './build-records.js';
export { BuildService, type BuildServiceDeps, createBuilds } from './builds.js';
export { BuildSecrets, type BuildSecretValues } from './build-secrets.js';
export { BuildContext } from './context/context.js';
export { type ContextOffer, type ContextSent, ContextUploads } from './context/context-uploads.js';
export { type KnownContext, SentContexts, type SentContextsDeps } from './context/sent-contexts.js';
export {
  type BuildTasks,
  type BuildTaskState,
  HandOver,
  type HandOverDeps,
  type HandOverOptions,
} from './hand-over.js';
export { eachOpenBuild, resendIfLost } from './lost-messages.js';
export { type ExportedImage, parseTag, type Tag } from './export/export.js';
export { ImageBuilder, type ImageBuilderDeps, type ImageBuilderOptions } from './image-builder.js';
export type * from './report.js';
export { ENTITLEMENTS, type Entitlement, type RunLimits, type RunSettings } from './run-settings.js';
export { sentContext } from './plan/named-contexts.js';
export { type StepKey } from './keys/keys.js';
export { EgressGuard, type EgressOptions, type Resolve } from './fetch/egress-guard.js';
export type { RemoteSourcesOptions } from './fetch/remote-files.js';
export { sweepWorkFolders } from './fetch/work-folders.js';
export {
  ARCHIVE_FORMATS,
  type ArchiveFormat,
  builtArchive,
  imageArchive,
  type ImageArchiveOptions,
} from './export/image-archive.js';
export { RemoteImages, type RemoteImagesDeps, type RemoteImagesOptions } from './images/remote-images.js';
export { builtCache } from './remote-cache/cache-archive.js';
export { checkCaches, sentCaches } from './remote-cache/cache-request.js';
export { sandboxElsewhere } from './sandbox/sandbox-elsewhere.js';
export { canRun, SANDBOX_TRIALS, type SandboxReport, SandboxReports, type SandboxTrial } from './sandbox-report.js';
export type { Sandbox, SandboxMount, SandboxRequest, SandboxResult } from './sandbox/sandbox.js';
export { type StepRecord } from './solve/step-cache.js';
export * from './types.js';
export { type BuildFunction } from './build-tries.js';
export { BuildWorker, type BuildWorkerDeps, type BuildWorkerOptions } from './worker.js';
