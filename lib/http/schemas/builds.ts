/** Builds: the request in its two forms, and what became of it. */
import * as z from 'zod';
import { CacheSource, CacheTarget } from './caches.js';
import { descriptor, digest, flag, timeMs } from './common.js';
import { SourcePolicy } from './source-policy.js';

const tag = z.string().min(1).max(400).meta({ description: '`repository[:tag]` in this registry.' });

const words = z.record(z.string().min(1), z.string());

export const BuildCompression = z
  .strictObject({
    type: z
      .enum(['gzip', 'estargz', 'zstd', 'none'])
      .meta({ description: 'estargz is gzip whose files can be pulled one by one.' }),
    level: z
      .number()
      .int()
      .min(0)
      .max(22)
      .exactOptional()
      .meta({ description: '0 to 9 for gzip and estargz, 1 to 22 for zstd.' }),
    force: z.boolean().exactOptional().meta({ description: 'Layers of the base image too; not with estargz.' }),
  })
  .meta({ id: 'BuildCompression' });

const remote = z.strictObject({
  url: z
    .string()
    .min(1)
    .max(4096)
    .meta({ description: 'A git repository (https://….git#ref:folder, git@host:path), a tar, or a Dockerfile.' }),
});
const uploaded = digest.meta({ description: 'Of a context that was uploaded to /v1/contexts.' });

/** What a name in FROM, COPY --from and mounts stands for. */
export const NamedContext = z
  .union([
    z.strictObject({ image: z.string().min(1) }),
    z.strictObject({ stage: z.string().min(1) }),
    z.strictObject({ context: uploaded }),
    z.strictObject({
      layout: uploaded,
      reference: z
        .string()
        .min(1)
        .exactOptional()
        .meta({ description: 'Tag or digest of an image in the OCI layout that the context is.' }),
    }),
    remote,
  ])
  .meta({ id: 'NamedContext' });

/** What is stored beside the image about how it came to be. */
export const BuildAttestations = z
  .strictObject({
    provenance: z
      .strictObject({
        mode: z
          .enum(['min', 'max'])
          .exactOptional()
          .meta({ description: 'min when absent; max has build arguments, the Dockerfile and the steps as well.' }),
        builderId: z.string().max(2048).exactOptional().meta({ description: "SLSA's builder.id." }),
        reproducible: z.boolean().exactOptional(),
      })
      .exactOptional()
      .meta({ description: 'SLSA provenance v1.' }),
    sbom: z
      .strictObject({
        generator: z.string().min(1).max(512).exactOptional().meta({ description: 'The image that scans.' }),
        parameters: z
          .record(z.string().regex(/^[A-Z][A-Z0-9_]*$/, { error: 'is not a name like SELECT_CATALOGERS' }), z.string())
          .exactOptional()
          .meta({ description: 'Given to it as BUILDKIT_SCAN_<name>.' }),
      })
      .exactOptional()
      .meta({ description: "What a scanner finds in the image, by BuildKit's protocol." }),
    ociArtifact: z
      .boolean()
      .exactOptional()
      .meta({ description: 'False: the attestation manifest looks like an image, as older clients expect it.' }),
  })
  .meta({ id: 'BuildAttestations' });

const RunSettings = z
  .strictObject({
    network: z.enum(['default', 'none', 'host']).exactOptional(),
    proxyNetwork: z
      .boolean()
      .exactOptional()
      .meta({ description: 'The only way out is a proxy that records what is fetched, for provenance.' }),
    hosts: words.exactOptional().meta({ description: 'Further lines of /etc/hosts: addresses by name.' }),
    shmBytes: z.number().int().exactOptional(),
    ulimits: z
      .array(z.strictObject({ name: z.string(), soft: z.number().int(), hard: z.number().int() }))
      .max(20)
      .exactOptional(),
    limits: z
      .strictObject({
        memoryBytes: z.number().int().exactOptional(),
        memorySwapBytes: z.number().int().exactOptional(),
        cpuShares: z.number().int().exactOptional(),
        cpuPeriodUs: z.number().int().exactOptional(),
        cpuQuotaUs: z.number().int().exactOptional(),
        cpusetCpus: z.string().max(200).exactOptional(),
        cpusetMems: z.string().max(200).exactOptional(),
      })
      .exactOptional()
      .meta({ description: 'Of each RUN; the host has its own above them.' }),
  })
  .meta({ id: 'BuildRunSettings' });

export const BuildRequest = z
  .strictObject({
    context: z.union([uploaded, remote]),
    contexts: z.record(z.string().min(1).max(200), NamedContext).exactOptional(),
    dockerfile: z.string().min(1).exactOptional(),
    dockerfileText: z
      .string()
      .max(128 * 1024)
      .exactOptional()
      .meta({ description: 'The Dockerfile itself, in the place of one of the context.' }),
    tags: z.array(tag).max(50),
    target: z.string().min(1).exactOptional(),
    args: z.record(z.string(), z.string()).exactOptional(),
    labels: z.record(z.string(), z.string()).exactOptional(),
    platform: z.string().exactOptional(),
    platforms: z
      .array(z.string())
      .min(1)
      .max(20)
      .exactOptional()
      .meta({ description: 'Several platforms: the result is an image index.' }),
    noCache: z.boolean().exactOptional(),
    noCacheFilter: z.array(z.string().min(1)).max(100).exactOptional().meta({ description: 'Stages to make anew.' }),
    compression: BuildCompression.exactOptional(),
    mediaTypes: z.enum(['oci', 'docker']).exactOptional().meta({ description: 'Of manifests, configs and layers.' }),
    compatibilityVersion: z
      .union([z.literal(10), z.literal(20), z.literal(30)])
      .exactOptional()
      .meta({ description: "BuildKit's: 10 for 0.13, 20 for 0.15 to 0.31, 30 from then on." }),
    annotations: z
      .strictObject({
        manifest: words.exactOptional(),
        index: words.exactOptional(),
        manifestDescriptor: words.exactOptional(),
        indexDescriptor: words.exactOptional().meta({ description: 'Shown by an OCI layout of the build only.' }),
      })
      .exactOptional(),
    attestations: BuildAttestations.exactOptional().meta({ description: 'The result is an image index then.' }),
    run: RunSettings.exactOptional().meta({ description: 'What every RUN gets.' }),
    allow: z
      .array(z.enum(['network.host', 'security.insecure']))
      .max(10)
      .exactOptional()
      .meta({ description: 'Rights beyond the sandbox that RUN may use, where the host gives them.' }),
    cacheFrom: z.array(CacheSource).max(20).exactOptional().meta({ description: 'Asked in this order.' }),
    cacheTo: z.array(CacheTarget).max(10).exactOptional(),

    sourcePolicy: SourcePolicy.exactOptional().meta({ description: 'What sources are allowed, denied or converted.' }),
    check: z.boolean().exactOptional().meta({ description: 'Build nothing: parse, plan and lint.' }),
    plan: z.boolean().exactOptional().meta({ description: 'Build nothing: expected hits, misses, steps and bytes.' }),
    outline: z.boolean().exactOptional().meta({ description: 'Build nothing: what the target takes.' }),
    targets: z.boolean().exactOptional().meta({ description: 'Build nothing: the stages that may be targets.' }),
  })
  .meta({ id: 'BuildRequest' });

/** Base64 of what was checked to be that. */
const base64 = z.base64({ error: 'is not base64' }).max(96 * 1024);

/**
 * A build to start. Secrets stand beside the request, so that no record of it has a place for them; they have no form
 * in a query, since URLs are written down on the way.
 */
export const BuildStart = BuildRequest.extend({
  secrets: z
    .record(z.string().min(1), base64)
    .exactOptional()
    .meta({ description: 'Values of secrets by id, in base64. Sealed until the build ends, never answered.' }),
  ssh: z
    .record(z.string().min(1), z.array(base64).min(1))
    .exactOptional()
    .meta({ description: 'Private keys for RUN --mount=type=ssh by id, in base64; kept as secrets are.' }),
}).meta({ id: 'BuildStart' });

/** The same as a query, for a build whose body is the tar itself. */
export const BuildQuery = z.strictObject({
  context: digest.exactOptional().meta({ description: 'Of an uploaded context; the request has no body then.' }),
  tag: z.array(tag).max(50).exactOptional(),
  target: z.string().min(1).exactOptional(),
  dockerfile: z.string().min(1).exactOptional(),
  arg: z.array(z.string().regex(/^[^=]+=/, { error: 'is not NAME=value' })).exactOptional(),
  label: z.array(z.string().regex(/^[^=]+=/, { error: 'is not name=value' })).exactOptional(),
  platform: z.array(z.string()).max(20).exactOptional(),
  'no-cache': flag.exactOptional(),
  'no-cache-filter': z.array(z.string().min(1)).max(100).exactOptional(),
  compression: z
    .string()
    .regex(/^(gzip|estargz|zstd|none)(:\d{1,2})?$/, {
      error: 'is not gzip, estargz, zstd or none with an optional :<level>',
    })
    .exactOptional(),
  annotation: z
    .array(
      z.string().regex(/^((manifest|index|manifest-descriptor):)?[^=]+=/, { error: 'is not [<where>:]name=value' }),
    )
    .exactOptional(),
  attest: z
    .array(z.string().min(1).max(4096))
    .max(10)
    .exactOptional()
    .meta({ description: '`type=provenance,mode=max`' }),
  'cache-from': z.array(z.string()).max(20).exactOptional().meta({ description: 'type=registry,ref=…' }),
  'cache-to': z
    .array(z.string())
    .max(10)
    .exactOptional()
    .meta({ description: 'type=registry,ref=…[,mode=max], type=local or type=inline' }),
  check: flag.exactOptional(),
  plan: flag.exactOptional(),
  outline: flag.exactOptional(),
  targets: flag.exactOptional(),
});

export const Build = z
  .object({
    id: z.string(),
    status: z.enum(['queued', 'running', 'succeeded', 'failed', 'cancelled']),
    request: BuildRequest,
    createdMs: timeMs,
    startedMs: timeMs.exactOptional(),
    finishedMs: timeMs.exactOptional(),
    result: z
      .object({
        digest,
        imageId: digest,
        tags: z.array(z.string()),
        layers: z.array(descriptor),
        steps: z.array(
          z.object({
            name: z.string(),
            instruction: z.string(),
            cached: z.boolean(),
            reason: z.string().exactOptional().meta({ description: 'Why it was not in the cache.' }),
            milliseconds: z.number(),
            layerBytes: z.number().exactOptional(),
            layerDigest: digest.exactOptional(),
            importedFrom: z.string().exactOptional().meta({ description: 'The cacheFrom that had it.' }),
          }),
        ),
        stepsCached: z.number(),
        epochSeconds: z.number().exactOptional(),
        caches: z
          .array(
            z.object({
              type: z.enum(['registry', 'local', 'inline']),
              ref: z.string().exactOptional(),
              digest: digest.exactOptional(),
              steps: z.number(),
            }),
          )
          .exactOptional()
          .meta({ description: 'One for each cacheTo; without a digest nothing was written.' }),
        platforms: z
          .array(
            z.object({
              platform: z.string(),
              digest,
              imageId: digest,
              layers: z.array(descriptor),
              attestations: digest.exactOptional().meta({ description: 'The manifest of its attestations.' }),
              attestationFiles: z
                .array(z.string())
                .exactOptional()
                .meta({ description: 'What each is called in a root folder.' }),
            }),
          )
          .exactOptional()
          .meta({ description: 'Of an index.' }),
      })
      .exactOptional(),
    report: z
      .looseObject({ kind: z.enum(['check', 'plan', 'outline', 'targets']) })
      .exactOptional()
      .meta({ description: 'Of a request that builds nothing.' }),
    error: z.looseObject({ code: z.string(), message: z.string() }).exactOptional(),
  })
  .meta({ id: 'Build' });

export const Context = z.object({ digest, sizeBytes: z.number() }).meta({ id: 'Context' });

export const ContextGap = z
  .object({
    upload: z.string().meta({ description: 'Where to send them: PUT /v1/contexts/{upload}.' }),
    missing: z.array(z.number()).meta({ description: 'Entries of the list, from 0, in the order to send them.' }),
    missingBytes: z.number(),
    pieceBytes: z
      .number()
      .exactOptional()
      .meta({ description: 'The most that one request may send, where a gateway bounds it; all at once when absent.' }),
  })
  .meta({ id: 'ContextGap' });

export const ContextOffset = z.object({ offset: z.number() }).meta({ id: 'ContextOffset' });
