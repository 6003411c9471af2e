/** The entry of the worker image: builds the one build that the task was started for. Ends with 0 when it is settled. */
import { readAwsConfig, readOptionalAwsConfig, STORE_SETTINGS } from './config.js';
import { runBuildWorker } from './build-worker.js';

const { WHARF_BUILD: build = '', WHARF_WORKER_DATA: folder = '/var/lib/wharf' } = process.env;
if (build === '') {
  console.error('build-worker: WHARF_BUILD names no build; the builder function starts this as a task of ECS');
  process.exit(2);
}
// As bin/wharf.ts: what a RUN writes must not depend on who starts this.
process.umask(0o022);
const stopping = new AbortController();
process.once('SIGTERM', () => stopping.abort());
process.once('SIGINT', () => stopping.abort());
const config = {
  ...readAwsConfig(process.env, ...STORE_SETTINGS, 'platform', 'dockerHub'),
  ...readOptionalAwsConfig(process.env, 'sourcePolicy'),
};
const isSettled = await runBuildWorker(config, { build, folder, signal: stopping.signal });
process.exit(isSettled ? 0 : 1);
