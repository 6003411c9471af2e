/** A build worker has no more programs than its image: each that building starts is there, or its lack has a name. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { PROGRAMS } from '../../scripts/worker-image.js';

const FOLDERS = ['lib/runtime', 'lib/layers', 'lib/build'];

/** What a worker does without, and why it may. */
const WITHOUT: Readonly<Record<string, string>> = {
  conmon: 'tasks of the engine',
  stty: 'sessions in tasks of the engine',
  eval: 'a word of the shell',
  modprobe: 'the kernel of the instance has its modules, and a failure is passed over',
  setpriv: 'BUILD_SSH_UNAVAILABLE names it',
  'ssh-add': 'BUILD_SSH_UNAVAILABLE names it',
  git: 'BUILD_GIT_MISSING names it',
};

function started(): Map<string, string> {
  const found = new Map<string, string>();
  for (const folder of FOLDERS) {
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts')) continue;
      const text = readFileSync(join(folder, name), 'utf8');
      for (const [, program = ''] of text.matchAll(/\b(?:spawn|runCommand)\(\s*'(?:\/bin\/)?([a-z0-9-]+)'/g)) {
        found.set(program, join(folder, name));
      }
    }
  }
  return found;
}

test('whatever the runtime, layers and builds start by name is in the worker image', () => {
  const programs = started();
  expect([...programs.keys()]).toEqual(expect.arrayContaining(['tar', 'runc', 'ip', 'rm']));
  const missing = [...programs].filter(([program]) => !PROGRAMS.includes(program) && WITHOUT[program] === undefined);
  expect(missing).toEqual([]);
});

test('the page names for a base whatever the worker image has', () => {
  const page = readFileSync('docs/aws/README.md', 'utf8');
  const [, list = ''] = /if it has, in PATH,([\s\S]*?)and in `\/usr\/lib\/cni`/.exec(page) ?? [];
  const named = [...list.matchAll(/`([a-z0-9-]+)`/g)].map(([, name]) => name);
  expect(new Set(named)).toEqual(new Set(['node', ...PROGRAMS]));
});
