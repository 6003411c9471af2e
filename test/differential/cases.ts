/**
 * Cases are folders: a Dockerfile, the files of its context, and if needed `case.json`. Each is copied before it is
 * built, with modes and times that do not depend on the checkout.
 */
import { cp, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import { must } from './host-commands.js';
import type { BuildInput } from './image-files.js';

const caseFile = z.strictObject({
  /** What the case shows, when its name does not say it. */
  about: z.string().optional(),
  dockerfile: z.string().optional(),
  args: z.record(z.string(), z.string()).optional(),
  labels: z.record(z.string(), z.string()).optional(),
  target: z.string().optional(),
  /** Shell lines run in the copied context: what git cannot keep (modes, empty folders, odd names, archives). */
  prepare: z.array(z.string()).optional(),
  /** Part of the few that need Debian's packages from the network. */
  slow: z.boolean().optional(),
});

export interface Case {
  readonly name: string;
  readonly folder: string;
  readonly slow: boolean;
  /** Whether the result is compared with a listing written by hand, since the classic builder cannot build it. */
  readonly byHand: boolean;
  readonly settings: z.infer<typeof caseFile>;
}

const CASES = fileURLToPath(new URL('cases', import.meta.url));
/** 2023-11-14T22:13:20Z: what the files of every context are dated, unless a case says otherwise. */
const FILE_TIME = '@1700000000';
const NOT_CONTEXT = new Set(['case.json', 'expected']);

/** @param wanted names, or beginnings of names that end in `*`; all when empty */
export async function loadCases(wanted: readonly string[] = []): Promise<readonly Case[]> {
  const names = (await readdir(CASES)).sort();
  const isWanted = (name: string): boolean =>
    wanted.length === 0 ||
    wanted.some((each) => (each.endsWith('*') ? name.startsWith(each.slice(0, -1)) : name === each));
  const chosen = names.filter(isWanted);
  return Promise.all(chosen.map(loadCase));
}

async function loadCase(name: string): Promise<Case> {
  const folder = join(CASES, name);
  const files = await readdir(folder);
  const text = files.includes('case.json') ? await readFile(join(folder, 'case.json'), 'utf8') : '{}';
  const checked = caseFile.safeParse(JSON.parse(text));
  if (!checked.success) throw new Error(`${name}/case.json: ${z.prettifyError(checked.error)}`);
  const settings = checked.data;
  return { name, folder, slow: settings.slow === true, byHand: files.includes('expected'), settings };
}

/** The context of a case in a folder of its own. */
export async function stage(one: Case, folder: string): Promise<BuildInput> {
  const context = join(folder, 'context');
  await mkdir(context, { recursive: true });
  for (const name of await readdir(one.folder)) {
    if (!NOT_CONTEXT.has(name))
      await cp(join(one.folder, name), join(context, name), { recursive: true, verbatimSymlinks: true });
  }
  const { dockerfile = 'Dockerfile', args = {}, labels = {}, target, prepare = [] } = one.settings;
  const script = [
    'umask 022',
    'chmod -R u=rwX,go=rX .',
    `find . -exec touch -h -d ${FILE_TIME} {} +`,
    ...prepare,
    // What a case dates itself (before 2025) stays so.
    `find . -newermt '2025-01-01' -exec touch -h -d ${FILE_TIME} {} +`,
  ];
  await must('bash', ['-euc', script.join('\n')], { cwd: context });
  return { name: one.name, context, dockerfile, args, labels, ...(target === undefined ? {} : { target }) };
}

/** The listing a case was given by hand. */
export async function expectedListing(one: Case): Promise<readonly string[]> {
  const text = await readFile(join(one.folder, 'expected'), 'utf8');
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}
