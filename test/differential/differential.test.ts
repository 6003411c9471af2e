import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { requireTools } from '../host-tools.js';
import { type Case, loadCases } from './cases.js';
import { DifferentialSuite } from './suite.js';

/** One of each kind; `npm run test:differential` runs all. */
const SOME = [
  'add-tar-over-existing',
  'arg-env-from-arg',
  'copy-chown-names',
  'copy-into-symlinked-folder',
  'copy-modes',
  'from-stage-hard-links',
  'hand-heredoc-copy',
  'ignore-exceptions',
  'node-multi-stage',
  'onbuild-runs-in-child-stage',
  'run-delete-and-recreate-folder',
  'run-special-modes',
] as const;

const host = requireTools('root', 'runc', 'conmon', 'bridge', 'dockerd', '/usr/bin/docker', 'busybox', 'python3');

host.describe("an image built here and by docker's classic builder", () => {
  let suite: DifferentialSuite;
  let cases: ReadonlyMap<string, Case>;

  beforeAll(async () => {
    cases = new Map((await loadCases(SOME)).map((one) => [one.name, one]));
    suite = await DifferentialSuite.start(['busybox']);
  }, 120_000);
  afterAll(() => suite.close(), 60_000);

  test.each(SOME)('is the same in every file: %s', async (name) => {
    const one = cases.get(name);
    if (one === undefined) throw new Error(`there is no case ${name}`);
    const { differences, error } = await suite.runOne(one);
    expect({ differences, error }).toEqual({ differences: [], error: undefined });
  });
});
