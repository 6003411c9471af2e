/** The probe of a function's machine, loaded when the function is asked for it: once in a deployment. */
import { SandboxReports } from '../../build/index.js';
import type { AwsStore } from './store.js';

/** Tries what the machine allows and keeps what came of it. @param name whose report it is */
export async function recordSandbox({ clock, logger, records }: AwsStore, name: string): Promise<void> {
  const { probeSandbox } = await import('./probe/sandbox-probe.js');
  const memoryMiB = Number(process.env['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'] ?? 0);
  const report = await probeSandbox({ clock }, { name, ...(memoryMiB > 0 ? { memoryMiB } : {}) });
  logger.info('what the machine of this function allows', { ...report });
  await new SandboxReports({ records }).put(report);
}
