/**
 * ImageExporter: from solved plans to what a build leaves: an image for each platform or an index of them, what is
 * attested of them, and the caches that were asked for.
 */
import { AppError } from '../errors/index.js';
import { ImageTree, type LayerIndexes } from '../layers/index.js';
import type { Platform } from '../oci/index.js';
import type { Clock, RecordStore } from '../store/index.js';
import { provenancePredicate, SLSA_PROVENANCE } from './attest/provenance.js';
import { proxyFetches } from './attest/proxy-fetches.js';
import { sbomAttestations } from './attest/sbom.js';
import type { BuildSource } from './context/build-source.js';
import type { LocalRequest } from './context/fetched-contexts.js';
import { type Attestation, exportAttestations } from './export/export-attestations.js';
import { type ExportedPlatform, exportIndex } from './export/export-index.js';
import { type ExportedImage, exportImage } from './export/export.js';
import { forceCompression } from './export/force-compression.js';
import { imageForm } from './export/image-form.js';
import type { BaseImageDeps } from './images/base-image.js';
import { buildkitSettings } from './plan/buildkit-args.js';
import type { Plan } from './plan/plan.js';
import type { Layer } from './plan/steps.js';
import { cacheTargets } from './remote-cache/cache-request.js';
import { exportCaches } from './remote-cache/export-caches.js';
import { INLINE_FIELD, inlineCache } from './remote-cache/inline-cache.js';
import type { RunningBuild } from './running-build.js';
import type { Solution, SolverDeps } from './solve/solve-input.js';
import type { BuildProvenance, BuildResult, ExportedCache } from './types.js';

export interface ImageExporterDeps extends BaseImageDeps {
  readonly records: RecordStore;
  readonly indexes: LayerIndexes;
  readonly clock: Clock;
  /** Brings layers into the store that are elsewhere. */
  readonly fetchLayers: SolverDeps['fetchLayers'];
  /** Of this machine. */
  readonly platform: Platform;
}

export interface SolvedBuild {
  readonly plan: Plan;
  readonly solution: Solution;
}

export class ImageExporter {
  constructor(
    private readonly deps: ImageExporterDeps,
    private readonly request: LocalRequest,
    private readonly source: BuildSource,
    private readonly call: RunningBuild,
  ) {}

  /** Caches first: a build that could not write one has no tag moved. */
  async export(solved: readonly SolvedBuild[]): Promise<BuildResult> {
    const caches = await this.caches(solved);
    const { digest, imageId, tags, layers, platforms } = await this.images(solved);
    const steps = solved.flatMap(({ solution }) => solution.steps);
    const stepsCached = steps.filter(({ cached }) => cached).length;
    const epochSeconds = solved[0]?.plan.epochSeconds;
    const result = {
      digest,
      imageId,
      tags,
      layers,
      steps,
      stepsCached,
      ...(epochSeconds === undefined ? {} : { epochSeconds }),
      ...(caches.length === 0 ? {} : { caches }),
    };
    return platforms === undefined ? result : { ...result, platforms };
  }

  private caches(solved: readonly SolvedBuild[]): Promise<readonly ExportedCache[]> {
    const { emit, signal } = this.call;
    const known = solved.flatMap(({ solution }) => solution.known);
    return exportCaches({ ...this.deps, emit, signal }, cacheTargets(this.request), known);
  }

  private async images(solved: readonly SolvedBuild[]): Promise<ExportedImage & Pick<BuildResult, 'platforms'>> {
    const { request } = this;
    const isIndex = solved.length > 1 || wantsIndex(request);
    const isInline = cacheTargets(request).some(({ type }) => type === 'inline');
    const images: ExportedPlatform[] = [];
    const layered = [];
    for (const each of solved) layered.push({ ...each, layers: await this.layersOf(each.solution) });
    const form = imageForm(
      request,
      layered.flatMap(({ layers }) => layers),
    );
    for (const { plan, solution, layers } of layered) {
      const { known } = solution;
      const { manifest: annotations = {} } = request.annotations ?? {};
      const inline = isInline ? inlineCache(known, layers) : undefined;
      const exported = await exportImage(this.deps, {
        image: plan.target.image,
        layers,
        baseLayers: solution.baseLayers,
        createdSeconds: plan.epochSeconds ?? solution.newestSeconds,
        tags: request.tags,
        annotations,
        form,
        isIndexEntry: isIndex,
        ...(inline === undefined ? {} : { extraConfig: { [INLINE_FIELD]: inline } }),
      });
      const image = { ...exported, platform: plan.target.image.platform };
      images.push({ ...image, ...(await this.attest(image, plan, solution)) });
    }
    const exported = isIndex ? await exportIndex(this.deps, images, request, form) : images[0];
    if (exported === undefined) throw new AppError('INTERNAL', 'no platform was built', { kind: 'internal' });
    return exported;
  }

  /** The image's layers, in the store, those of the base compressed anew where that is asked for. */
  private async layersOf({ layers, scan }: Solution): Promise<readonly Layer[]> {
    const { compression } = this.request;
    const { signal } = this.call;
    await this.deps.fetchLayers(scan === undefined ? layers : [...layers, scan], signal);
    if (compression?.force !== true || compression.type === 'estargz') return layers;
    return forceCompression(this.deps, layers, { ...compression, type: compression.type }, signal);
  }

  /** What is attested of an image, when anything is asked for. */
  private async attest(
    image: ExportedPlatform,
    plan: Plan,
    solution: Solution,
  ): Promise<Pick<ExportedPlatform, 'attestations' | 'attestationFiles'>> {
    const { wanted, redaction } = this.call;
    const { provenance, ociArtifact } = wanted.attestations ?? {};
    const attestations: Attestation[] = solution.scan === undefined ? [] : [...(await this.scanned(solution.scan))];
    if (provenance !== undefined) attestations.push(await this.provenance(provenance, plan, solution));
    if (attestations.length === 0) return {};
    const options = { tags: wanted.tags, ...(ociArtifact === undefined ? {} : { ociArtifact }) };
    const clean = redaction.value(attestations);
    const attestationFiles = attestations.map(({ file }) => file);
    return { attestations: await exportAttestations(this.deps, image, clean, options), attestationFiles };
  }

  private async provenance(
    wanted: BuildProvenance,
    plan: Plan,
    { layers, baseLayers, known }: Solution,
  ): Promise<Attestation> {
    const proxied = await proxyFetches(
      this.deps.content,
      known.filter(({ planned }) => planned.stage !== plan.scan?.index),
    );
    const { wanted: request, fetched, redaction, id, startedMs } = this.call;
    const { dockerfile, text } = this.source;
    const predicate = provenancePredicate({
      wanted,
      request,
      plan,
      fetched,
      ...(proxied === undefined ? {} : { proxied }),
      builder: this.deps.platform,
      buildId: id,
      startedMs,
      finishedMs: this.deps.clock.nowMs(),
      dockerfile: { name: dockerfile.fileName, text },
      mask: (masked) => redaction.text(masked),
      layers,
      baseLayers,
    });
    return { file: 'provenance.json', predicateType: SLSA_PROVENANCE, predicate };
  }

  private async scanned(layer: Layer): Promise<readonly Attestation[]> {
    const tree = ImageTree.empty(this.deps.content).withLayer(await this.deps.indexes.get(layer));
    return sbomAttestations(tree);
  }
}

function wantsIndex({ annotations, attestations, args = {} }: LocalRequest): boolean {
  if (attestations?.provenance !== undefined || attestations?.sbom !== undefined) return true;
  const { index, indexDescriptor, manifestDescriptor } = annotations ?? {};
  if (buildkitSettings(args).multiPlatform) return true;
  return [index, indexDescriptor, manifestDescriptor].some((each) => each !== undefined);
}
