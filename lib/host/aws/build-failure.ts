/**
 * Why a build failed, as text for a place that shows little: the status reason of a CloudFormation resource. The
 * sentence first, with its line of the Dockerfile, then what to do, then the last lines that the build wrote.
 */
import type { Build, Builds } from '../../build/index.js';

const LINES = 15;
/** CloudFormation takes an answer of 4 KiB, in which the text is one part and is escaped. */
const TEXT_CHARACTERS = 1500;
const READ_MS = 10_000;

export async function failureText(builds: Pick<Builds, 'follow'>, build: Build): Promise<string> {
  const { error, status } = build;
  const place = error?.line === undefined ? '' : `${error.file ?? 'Dockerfile'}:${error.line}: `;
  const sentence = error === undefined ? `the build was ${status}` : `${place}${error.message} (${error.code})`;
  const hint = error?.hint === undefined ? [] : [error.hint];
  const lines = await lastLines(builds, build.id);
  const log = lines.length === 0 ? [] : [`last lines of build ${build.id}:`, ...lines.map((line) => `| ${line}`)];
  return fit([sentence, ...hint], log);
}

async function lastLines(builds: Pick<Builds, 'follow'>, id: string): Promise<readonly string[]> {
  let text = '';
  for await (const { event } of builds.follow(id, 0, AbortSignal.timeout(READ_MS))) {
    if (event.type === 'step-output') text = (text + event.text).slice(-4 * TEXT_CHARACTERS);
  }
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(-LINES);
}

/** The head whole as far as it goes, and as many of the last lines as there is room for. */
function fit(head: readonly string[], log: readonly string[]): string {
  const first = head.join('\n').slice(0, TEXT_CHARACTERS);
  const [title, ...lines] = log;
  let room = TEXT_CHARACTERS - first.length - (title?.length ?? 0);
  const kept: string[] = [];
  for (const line of lines.toReversed()) {
    room -= line.length + 1;
    if (room < 0) break;
    kept.unshift(line);
  }
  return [first, ...(title === undefined || kept.length === 0 ? [] : [title, ...kept])].join('\n');
}
