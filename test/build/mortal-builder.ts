/** Builders in processes of their own that end at a point that is chosen, and what they leave on the host. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable } from 'node:stream';
import { build } from 'esbuild';
import { BuildSecrets } from '../../lib/build/index.js';
import { hostResidue, openHostScope } from '../../lib/runtime/index.js';
import type { SecretStore } from '../../lib/store/index.js';
import { agentsBelow } from './ssh-agents.js';

/** Compiled once: they are started often. */
export class BuilderProgram {
  private constructor(private readonly bundle: string) {}

  static async compile(): Promise<BuilderProgram> {
    const outfile = resolve(`node_modules/.cache/wharf-mortal-builder-${process.pid}.mjs`);
    const entryPoints = [resolve('test/build/build-process.ts')];
    const banner = {
      js: "import { createRequire as requiring } from 'node:module'; const require = requiring(import.meta.url);",
    };
    await build({ entryPoints, outfile, bundle: true, platform: 'node', format: 'esm', external: ['lmdb'], banner });
    return new BuilderProgram(outfile);
  }

  /** @param words after the folder, as `build-process.ts` has them */
  start(folder: string, ...words: readonly string[]): MortalBuilder {
    const child = spawn(process.execPath, [this.bundle, folder, ...words], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    return new MortalBuilder(child);
  }

  remove(): Promise<void> {
    return rm(this.bundle, { force: true });
  }
}

export class MortalBuilder {
  /** Fulfilled when it has ended, however that came. */
  readonly ended: Promise<unknown>;
  private readonly lines: Interface;
  private readonly said: string[] = [];

  constructor(private readonly child: ChildProcessByStdio<null, Readable, null>) {
    this.ended = once(child, 'exit');
    this.lines = createInterface(child.stdout).on('line', (line) => this.said.push(line));
  }

  /** Also fulfilled when it ends without having said so. */
  async says(word: string): Promise<void> {
    while (!this.said.includes(word)) {
      const next = await Promise.race([once(this.lines, 'line'), this.ended.then(() => 'ended')]);
      if (next === 'ended') return;
    }
  }

  async kill(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL');
    await this.ended;
  }

  /** Ends it and tells how many operations there were. */
  async operations(): Promise<number> {
    this.child.kill('SIGTERM');
    await this.ended;
    return Number(this.said.at(-1));
  }
}

/** Mounts, processes, namespaces, folders of runs, agents and secrets that are there for a builder on the folder. */
export async function leftBehind(folder: string, secrets: SecretStore): Promise<readonly string[]> {
  const scope = await openHostScope(join(folder, 'runtime'));
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  const folders = async (name: string): Promise<string[]> =>
    (await readdir(join(scope.directory, name)).catch(() => [])).map((each) => `${name}/${each}`);
  return [
    ...mounts.filter((line) => line.includes(`${scope.directory}/`)),
    ...(await hostResidue(scope)),
    ...(await folders('builds')),
    ...(await folders('bundles')),
    ...(await agentsBelow(scope.directory)),
    ...(await new BuildSecrets(secrets).builds()).map((id) => `secrets of ${id}`),
  ];
}
