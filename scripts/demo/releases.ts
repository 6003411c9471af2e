/** The part of the demo that is the same wherever the platform runs: build, roll out, look at what runs. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildResult } from '../../lib/build/index.js';
import { buildProgress, packContext, streamOutput } from '../../lib/cli/index.js';
import type { WharfClient } from '../../lib/client/index.js';
import type { Deployed } from '../../lib/platform/index.js';
import { containerProcesses, sharedNamespaces } from './isolation.js';
import { get } from './steady-client.js';
import type { Story } from './story.js';

export interface ReleasesOptions {
  readonly cluster: string;
  readonly service: string;
  /** The folder that is built. */
  readonly source: string;
  /** Of the engine whose containers run. */
  readonly scopeId: string;
  /** How long anything may take. */
  readonly longestMs: number;
}

export class Releases {
  constructor(
    private readonly story: Story,
    private readonly wharf: WharfClient,
    private readonly options: ReleasesOptions,
  ) {}

  async build(tag: string): Promise<BuildResult> {
    const packed = await packContext('.', this.options.source);
    const { id } = await this.wharf.builds.fromTar(packed.tar, { tags: [tag], dockerfile: packed.dockerfile });
    const progress = buildProgress('plain', streamOutput(process.stdout, process.stdout, process.env));
    for await (const logged of this.wharf.builds.follow(id)) {
      progress.show(logged);
      if (logged.event.type !== 'finished') continue;
      const { result, error } = logged.event;
      if (result === undefined) throw new Error(`the build ${logged.event.status}: ${error?.message ?? ''}`);
      this.story.say(`image ${tag} ${result.digest}`);
      return result;
    }
    throw new Error('the build log ended before the build');
  }

  /** Changes one file of the folder and builds again: what did not change must be cached. */
  async rebuild(first: BuildResult, tag: string): Promise<void> {
    await writeFile(join(this.options.source, 'release.txt'), 'release 2\n');
    const second = await this.story.step('change one file and build release 2', () => this.build(tag), newBytes);
    const before = new Set(first.layers.map((layer) => layer.digest));
    const fresh = second.layers.filter((layer) => !before.has(layer.digest));
    this.story.check('exactly one layer is new', fresh.length === 1, `${fresh.length} are`);
    const changed = second.steps.filter((step) => !step.cached).map((step) => step.instruction);
    this.story.check('every unchanged step says CACHED', changed.length === 1, changed.join(' | '));
  }

  async rollOut({ release, deployment }: Deployed): Promise<void> {
    const { cluster, service } = this.options;
    await this.until(`release ${release.number} is complete`, async () => {
      const { deployments } = await this.wharf.services.deployments(cluster, service);
      const current = deployments.find((each) => each.id === deployment.id);
      if (current !== undefined && !['pending', 'in-progress', 'completed'].includes(current.status)) {
        throw new Error(`release ${release.number} ${current.status}: ${current.reason ?? ''}`);
      }
      return current?.status === 'completed';
    });
  }

  /** Each task on its own instance, in its own namespaces, and answering on its own published port. */
  async checkTasks(answer: string): Promise<void> {
    const { story } = this;
    const { cluster, service, scopeId } = this.options;
    const { tasks } = await this.wharf.tasks.list(cluster, { service, status: 'running' });
    story.check('two tasks run', tasks.length === 2, tasks.map((task) => task.status).join(', '));
    story.check('each on its own instance', new Set(tasks.map((task) => task.instance)).size === 2);
    const processes = containerProcesses(scopeId);
    story.check('each in a cgroup of its own', processes.size === 2, [...processes.keys()].join(', '));
    const shared = sharedNamespaces(processes);
    story.check('each in namespaces of its own', shared.length === 0, shared.join('; '));
    for (const task of tasks) {
      const port = task.containers[0]?.ports[0]?.host ?? 0;
      const { body } = await get({ port, host: 'localhost' }, '/release.txt');
      story.check(`task ${task.id.slice(0, 8)} answers "${answer}" on port ${port}`, body === answer, body);
    }
  }

  /** Looks every tenth of a second, for a bounded time. */
  async until(claim: string, holds: () => Promise<boolean>): Promise<void> {
    const { longestMs } = this.options;
    const deadline = performance.now() + longestMs;
    while (!(await holds())) {
      if (performance.now() > deadline) throw new Error(`not within ${longestMs / 1000} s: ${claim}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    this.story.say(claim);
  }
}

/** Bytes of the layers that this build made. */
export function newBytes(result: BuildResult): number {
  return result.steps.reduce((sum, step) => sum + (step.cached ? 0 : (step.layerBytes ?? 0)), 0);
}
