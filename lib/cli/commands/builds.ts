/** `wharf builds`: those there were and are, the log of one from its beginning, and a request to stop. */
import type { Build } from '../../build/index.js';
import { AppError } from '../../errors/index.js';
import { buildProgress } from '../build-progress.js';
import type { CommandDeps } from '../deps.js';
import { formatAge, formatTable, printJson } from '../output.js';

interface OneBuild {
  readonly id: string;
  readonly json?: boolean;
}

export async function listBuilds(
  { limit, json }: { readonly limit: number; readonly json?: boolean },
  { client, output, clock }: CommandDeps,
): Promise<void> {
  const { builds } = await client.builds.list({ limit });
  if (json === true) return printJson(output, { builds });
  const nowMs = clock.nowMs();
  const rows = builds.map((build) => [
    build.id,
    build.status,
    build.request.tags[0] ?? '-',
    stepsOf(build),
    build.startedMs === undefined ? '' : formatAge((build.finishedMs ?? nowMs) - build.startedMs),
    formatAge(nowMs - build.createdMs),
  ]);
  output.result(formatTable(['BUILD', 'STATUS', 'TAG', 'STEPS', 'TOOK', 'AGE'], rows));
}

/** Goes on to its end when it is under way, and fails when the build did. Ctrl-C leaves the build alone. */
export async function showBuildLog({ id, json }: OneBuild, deps: CommandDeps): Promise<void> {
  const { client, output, interrupted } = deps;
  const progress = buildProgress('plain', json === true ? output : { ...output, say: (text) => output.result(text) });
  for await (const event of client.builds.follow(id, { signal: interrupted })) {
    if (json === true) printJson(output, event);
    else progress.show(event);
  }
  if (interrupted.aborted) return;
  const { status, error } = await client.builds.get(id);
  if (status === 'succeeded') return;
  throw new AppError(error?.code ?? 'BUILD_CANCELLED', error?.message ?? `build ${id} was cancelled`, {
    kind: 'failed',
    ...(error?.hint === undefined ? {} : { hint: error.hint }),
  });
}

export async function cancelBuild({ id, json }: OneBuild, { client, output }: CommandDeps): Promise<void> {
  const build = await client.builds.cancel(id);
  if (json === true) return printJson(output, build);
  if (build.finishedMs !== undefined) output.say(`build ${id} had ended: it is ${build.status}\n`);
  output.result(`${id}\n`);
}

function stepsOf({ result }: Build): string {
  return result === undefined ? '' : `${result.steps.length}, ${result.stepsCached} cached`;
}
