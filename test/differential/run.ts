/**
 * The whole differential suite, from the command line:
 *   npm run test:differential                  every case
 *   npm run test:differential -- copy-* go-*   some
 *   npm run test:differential -- --quick       without those that install packages
 *   BUILDKIT_HOST=… npm run test:differential -- --buildkit    against a BuildKit that runs, and not docker
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pc from 'picocolors';
import { BuildkitEngine } from './buildkit-engine.js';
import { type Case, loadCases } from './cases.js';
import { DockerEngine } from './docker-engine.js';
import { notNeeded } from './explained.js';
import { basesOf, type CaseOutcome, DifferentialSuite } from './suite.js';

const options = process.argv.slice(2).filter((each) => each.startsWith('--'));
const names = process.argv.slice(2).filter((each) => !each.startsWith('--'));
const all = await loadCases(names);
const cases = options.includes('--quick') ? all.filter(({ slow }) => !slow) : all;
process.exitCode = await main(cases, names.length === 0 && cases.length === all.length);

async function main(chosen: readonly Case[], whole: boolean): Promise<number> {
  if (chosen.length === 0) {
    console.error(`no case is called ${names.join(', ')}`);
    return 2;
  }
  const started = performance.now();
  const isBuildkit = options.includes('--buildkit');
  const peer = await (isBuildkit ? BuildkitEngine.start() : DockerEngine.start());
  const suite = await DifferentialSuite.start(await basesNeeded(chosen), async () => peer);
  const stop = (): void => void suite.close().then(() => process.exit(130));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  let outcomes: readonly CaseOutcome[];
  try {
    outcomes = await suite.run(chosen, (outcome) => console.log(report(outcome)));
  } finally {
    await suite.close();
  }
  const needed = new Map(outcomes.map(({ name, explained }) => [name, explained]));
  const stale = notNeeded(needed, whole, peer.explained);
  for (const line of stale) console.log(pc.red(`explained: ${line}`));
  const failed = outcomes.filter(({ differences, error }) => differences.length > 0 || error !== undefined);
  const seconds = Math.round((performance.now() - started) / 1000);
  const byHand = chosen.filter((one) => one.byHand).length;
  console.log(
    `${outcomes.length} cases (${byHand} ${peer.buildsAll ? 'that classic docker cannot build' : 'against a listing by hand'}), ` +
      `${outcomes.length - failed.length} equal, ${failed.length} not, ${peer.explained.length} explanations, ${seconds} s`,
  );
  if (failed.length > 0) console.log(`not equal: ${failed.map(({ name }) => name).join(' ')}`);
  return failed.length === 0 && stale.length === 0 ? 0 : 1;
}

async function basesNeeded(chosen: readonly Case[]): Promise<ReturnType<typeof basesOf>> {
  const texts = await Promise.all(
    chosen.map(({ folder, settings }) => readFile(join(folder, settings.dockerfile ?? 'Dockerfile'), 'utf8')),
  );
  return basesOf(texts.join('\n') + chosen.map(({ settings }) => JSON.stringify(settings.args ?? {})).join('\n'));
}

function report(outcome: CaseOutcome): string {
  const { name, differences, explained, error, files, milliseconds } = outcome;
  const seconds = `${(milliseconds / 1000).toFixed(1)} s`;
  if (error !== undefined) return `${pc.red('error')}  ${name} (${seconds})\n${indent(error)}`;
  const why = explained.size === 0 ? '' : `, explained: ${[...explained].join(', ')}`;
  if (differences.length === 0) return `${pc.green('equal')}  ${name}: ${files} files${why} (${seconds})`;
  const shown = differences
    .slice(0, 12)
    .map(({ subject, field, docker, wharf }) => `${subject} ${field}: peer ${docker || '-'} | wharf ${wharf || '-'}`);
  const more = differences.length > shown.length ? [`and ${differences.length - shown.length} more`] : [];
  return `${pc.red('differ')} ${name}: ${differences.length} differences${why} (${seconds})\n${indent([...shown, ...more].join('\n'))}`;
}

function indent(text: string): string {
  return text.replace(/^/gm, '    ');
}
