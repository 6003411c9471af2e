/** What a request that builds nothing answers with, as lines for people. */
import type { BuildReport, CheckReport, OutlineReport, PlanReport, TargetsReport } from '../../build/index.js';
import { formatBytes } from './format-bytes.js';

/** Lines, each ending in a newline. */
export function formatBuildReport(report: BuildReport): string {
  switch (report.kind) {
    case 'check':
      return checkText(report);
    case 'plan':
      return planText(report);
    case 'outline':
      return outlineText(report);
    case 'targets':
      return targetsText(report);
    default:
      return report satisfies never;
  }
}

function checkText({ warnings }: CheckReport): string {
  if (warnings.length === 0) return 'check complete, no warnings\n';
  const count = warnings.length === 1 ? '1 warning' : `${warnings.length} warnings`;
  return `check complete, ${count}\n`;
}

function planText({ steps, hits, misses, bytes }: PlanReport): string {
  const lines = steps.map(({ name, instruction, expected, reason, importedFrom }) => {
    const [first = ''] = instruction.split('\n');
    const why = importedFrom === undefined ? reason : `from ${importedFrom}`;
    return `${expected.padEnd(10)} ${name} ${first}${why === undefined ? '' : ` (${why})`}\n`;
  });
  const moved = `${formatBytes(bytes.context)} of the context to copy, ${formatBytes(bytes.fetch)} to fetch`;
  return `${lines.join('')}${hits} cached, ${misses} to make; ${moved}\n`;
}

function outlineText(outline: OutlineReport): string {
  const told = (text: string | undefined): string => (text === undefined ? '' : `  ${text}`);
  const need = ({ id, required }: { id: string; required: boolean }): string => `${id}${required ? ' (required)' : ''}`;
  return [
    `target ${outline.target}${told(outline.description)}\n`,
    ...outline.args.map(({ name, value, description }) => `arg ${name}=${value ?? ''}${told(description)}\n`),
    ...outline.secrets.map((secret) => `secret ${need(secret)}\n`),
    ...outline.ssh.map((ssh) => `ssh ${need(ssh)}\n`),
    ...outline.caches.map(({ id, target }) => `cache ${id} at ${target}\n`),
    ...outline.mounts.map(({ type, from, target }) => `${type} ${from ?? 'context'} at ${target}\n`),
  ].join('');
}

function targetsText({ targets }: TargetsReport): string {
  return targets
    .map(({ name, base, description, isDefault }) => {
      const told = description === undefined ? '' : `  ${description}`;
      return `${name}${isDefault ? ' (default)' : ''} from ${base}${told}\n`;
    })
    .join('');
}
