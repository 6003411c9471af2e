/** `wharf build`: sends what changed in a folder, shows the steps, prints the image. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { BuildReport, Entitlement, RunSettings } from '../../build/index.js';
import { AppError } from '../../errors/index.js';
import { formatBuildReport } from '../../http/text/index.js';
import { buildProgress, explainBuildError, type ProgressMode } from '../build-progress.js';
import type { CommandDeps } from '../deps.js';
import { printJson } from '../output.js';
import { parseCaches, withCaches, writeCaches } from '../build-caches.js';
import { withContexts } from '../build-contexts.js';
import { checkOutputs, readOutputs, writeOutputs } from '../build-output.js';
import { readGiven, startBuild } from '../start-build.js';

export interface BuildInput {
  /** A folder, `-`, or an address. */
  readonly context: string;
  /** `name=place` */
  readonly contexts?: readonly string[];
  readonly tags: readonly string[];
  readonly file?: string;
  readonly target?: string;
  readonly args: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly platforms?: readonly string[];
  readonly noCache?: boolean;
  readonly noCacheFilter?: readonly string[];
  /** `zstd:3` */
  readonly compression?: string;
  readonly forceCompression?: boolean;
  readonly mediaTypes?: 'oci' | 'docker';
  readonly compatibilityVersion?: 10 | 20 | 30;
  /** `[manifest|index|manifest-descriptor|index-descriptor:]name=value` */
  readonly annotations?: readonly string[];
  /** `type=provenance,mode=max` */
  readonly attest?: readonly string[];
  /** `type=registry,ref=app:cache` */
  readonly cacheFrom?: readonly string[];
  /** `type=local,dest=cache,mode=max` */
  readonly cacheTo?: readonly string[];
  /** `id=npm,src=.npmrc` */
  readonly secrets?: readonly string[];
  /** `default=~/.ssh/id_ed25519` */
  readonly ssh?: readonly string[];
  /** Of a source policy in BuildKit's JSON. */
  readonly sourcePolicyFile?: string;
  /** Instead of building. */
  readonly instead?: 'check' | 'plan' | 'outline' | 'targets';
  readonly run?: RunSettings;
  readonly allow?: readonly Entitlement[];
  /** `type=oci,dest=app.tar`, or a folder */
  readonly outputs?: readonly string[];
  readonly progress: ProgressMode;
  readonly json?: boolean;
}

export async function build(asked: BuildInput, deps: CommandDeps): Promise<void> {
  const { input, outputs } = readOutputs(asked);
  const { client, output } = deps;
  const { context, file, progress: mode, json } = input;
  const caches = parseCaches(input);
  // Before anything is sent: a missing file is not worth an upload.
  await checkOutputs(outputs, deps);
  const given = await readGiven(input, deps);
  const [tag] = input.tags;
  const wanted = {
    context,
    named: input.contexts ?? [],
    ...(file === undefined ? {} : { file }),
    // The next build of the same image is compared with this one, whatever its tag.
    ...(tag === undefined ? {} : { name: tag.replace(/:[^/:]*$/, '').slice(0, 200) }),
  };
  const { started, contexts } = await withCaches(deps, caches.from, (sources) =>
    withContexts(deps, wanted, async (contexts) => ({
      started: await startBuild(client, contexts, input, given, {
        ...(sources.length === 0 ? {} : { cacheFrom: sources }),
        ...(caches.to === undefined ? {} : { cacheTo: caches.to }),
      }),
      contexts,
    })),
  );
  const cancel = () => void client.builds.cancel(started.id).catch(() => {});
  deps.interrupted.addEventListener('abort', cancel, { once: true });
  try {
    const progress = buildProgress(mode, output);
    for await (const event of client.builds.follow(started.id)) progress.show(event);
  } finally {
    deps.interrupted.removeEventListener('abort', cancel);
  }
  const finished = await client.builds.get(started.id);
  if (json === true) printJson(output, finished);
  if (finished.report !== undefined) return showReport(finished.report, input, deps);
  if (finished.result === undefined) {
    const { error } = finished;
    if (error !== undefined) {
      const path = resolve(deps.cwd, context, contexts.dockerfile);
      const text = contexts.dockerfileText ?? (await readFile(path, 'utf8').catch(() => undefined));
      output.say(explainBuildError(error, text));
    }
    throw new AppError(error?.code ?? 'BUILD_CANCELLED', `build ${finished.id} ${finished.status}`, { kind: 'failed' });
  }
  await writeCaches(finished.id, finished.result, caches, deps);
  await writeOutputs(finished.id, outputs, deps);
  const { steps, stepsCached, tags, digest } = finished.result;
  output.say(output.colors.dim(`${steps.length} steps, ${stepsCached} cached\n`));
  // What goes to standard output is the tar then.
  if (outputs.some(({ destination }) => destination === '-')) return;
  if (json !== true) output.result(`${tags[0] ?? ''}${tags.length === 0 ? '' : '@'}${digest}\n`);
}

/** As with docker, a check that finds something fails. */
function showReport(report: BuildReport, input: BuildInput, { output }: CommandDeps): void {
  if (input.json !== true) output.result(formatBuildReport(report));
  if (report.kind !== 'check' || report.warnings.length === 0) return;
  const rules = [...new Set(report.warnings.map(({ rule }) => rule))].sort().join(', ');
  throw new AppError('BUILD_CHECK_FAILED', `the check found ${rules}`, { kind: 'failed' });
}
