/** What clients ask of a platform until it dies: tasks run and stopped, a service rolled over and scaled. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  DescribeTasksCommand,
  type ECSClient,
  ListTasksCommand,
  RegisterTaskDefinitionCommand,
  RunTaskCommand,
  StopTaskCommand,
  type Task,
  UpdateServiceCommand,
} from '@aws-sdk/client-ecs';
import type { Random } from '../interleave/random.js';

export const CLUSTER = 'main';
export const SERVICE = 'steady';
export const EXIT_CODE = 7;
/** So that the machine is not filled. */
const MOST_RUNNING = 4;
/** Between two requests: enough for a busy engine, and not so much that the containers leave it no processor. */
const PAUSE_MS = 80;

/** `long` counts until it is asked to end, so that its log tells whether it was interrupted; `short` ends by itself. */
const SCRIPTS = {
  long: 'trap "exit 0" TERM; echo begun; i=0; while :; do i=$((i+1)); echo $i; sleep 0.2; done',
  short: `echo begun; sleep 0.3; exit ${String(EXIT_CODE)}`,
} as const;

export async function define(client: ECSClient): Promise<void> {
  for (const [family, script] of Object.entries(SCRIPTS)) {
    const app = { name: 'app', image: 'busybox:1', memory: 16, command: ['sh', '-c', script], stopTimeout: 2 };
    await client.send(new RegisterTaskDefinitionCommand({ family, containerDefinitions: [app] }));
  }
}

export class Load {
  /** Tasks that were answered for, by ARN: whether somebody asked them to stop. */
  readonly asked = new Map<string, boolean>();
  #tokens = 0;

  constructor(
    private readonly client: ECSClient,
    private readonly random: Random,
  ) {}

  /** Those that nobody asked to stop. */
  get meantToRun(): readonly string[] {
    return [...this.asked].filter(([, isAsked]) => !isAsked).map(([arn]) => arn);
  }

  /** Goes on until the platform is gone; what was not answered may or may not have happened. */
  async until(dead: AbortSignal): Promise<void> {
    while (!dead.aborted) {
      await this.#step(dead).catch(() => undefined);
      await delay(PAUSE_MS);
    }
  }

  async #step(abortSignal: AbortSignal): Promise<void> {
    const running = this.meantToRun;
    const kind = this.random.next();
    if (kind < 0.1) {
      const change = this.random.chance(0.5)
        ? { desiredCount: 1 + this.random.below(2) }
        : { forceNewDeployment: true };
      const update = new UpdateServiceCommand({ cluster: CLUSTER, service: SERVICE, ...change });
      await this.client.send(update, { abortSignal });
    } else if (kind < 0.25 || running.length >= MOST_RUNNING) {
      const task = running[this.random.below(Math.max(1, running.length))];
      if (task === undefined) return;
      // Asked for, whether or not the answer comes.
      this.asked.set(task, true);
      await this.client.send(new StopTaskCommand({ cluster: CLUSTER, task }), { abortSignal });
    } else {
      const taskDefinition = this.random.chance(0.6) ? 'long' : 'short';
      const clientToken = `t${String((this.#tokens += 1))}`;
      const run = new RunTaskCommand({ cluster: CLUSTER, taskDefinition, clientToken });
      const { tasks = [] } = await this.client.send(run, { abortSignal });
      for (const { taskArn = '' } of tasks) this.asked.set(taskArn, taskDefinition === 'short');
    }
  }
}

export async function described(client: ECSClient, arns: readonly string[]): Promise<readonly Task[]> {
  const found: Task[] = [];
  for (let at = 0; at < arns.length; at += 100) {
    const tasks = arns.slice(at, at + 100);
    found.push(...((await client.send(new DescribeTasksCommand({ cluster: CLUSTER, tasks }))).tasks ?? []));
  }
  return found;
}

export async function list(client: ECSClient, desiredStatus: 'RUNNING' | 'STOPPED'): Promise<readonly string[]> {
  const arns: string[] = [];
  let nextToken: string | undefined;
  do {
    const page = await client.send(new ListTasksCommand({ cluster: CLUSTER, desiredStatus, nextToken }));
    arns.push(...(page.taskArns ?? []));
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
  return arns;
}
