/** `wharf doctor`: whether the platform answers, and what the machines of its functions let them do. */
import { canRun, type SandboxReport } from '../../build/index.js';
import type { CommandDeps } from '../deps.js';
import { counted, formatAge, printJson } from '../output.js';

export async function doctor({ json }: { readonly json?: boolean }, deps: CommandDeps): Promise<void> {
  const { client, output, clock } = deps;
  const { version } = await client.health();
  const sandboxes = await client.sandboxes();
  if (json === true) return printJson(output, { version, sandboxes });
  output.result(`wharf ${version} answers, and the token is good\n`);
  for (const report of sandboxes) output.result(describe(report, clock.nowMs()));
  if (sandboxes.length === 0)
    output.result('RUN steps and tasks run on its own machine: there is no function to try\n');
}

function describe(report: SandboxReport, nowMs: number): string {
  const { name, version, node, architecture, kernel, processors, memoryMiB, scratchMiB, scratchFreeMiB } = report;
  const trials = Object.entries(report.trials).map(([trial, answer]) => `  ${trial.padEnd(14)}${answer}\n`);
  return [
    `\nfunction ${name} of ${version}, tried ${formatAge(nowMs - report.atMs)} ago\n`,
    `  Node ${node} on ${architecture}, kernel ${kernel}, ${counted(processors, 'processor')}\n`,
    `  ${memoryMiB} MiB of memory, ${scratchMiB} MiB of /tmp (${scratchFreeMiB} free), as user ${report.user}\n`,
    ...trials,
    canRun(report) ? '  its machine would let RUN be done there\n' : '  so RUN goes on in a worker\n',
  ].join('');
}
