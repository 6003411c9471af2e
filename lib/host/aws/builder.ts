/**
 * Builds on Lambda: one message, one build, within the time the function has. Shortly before it runs out the build is
 * handed back with its finished steps kept; at the last delivery it fails instead, and says so. A RUN that is not in
 * the cache makes it go on in a worker.
 */
import {
  BuildService,
  type BuildFunction,
  type BuildTasks,
  BuildWorker,
  decodeMessage,
  eachOpenBuild,
  HandOver,
  resendIfLost,
} from '../../build/index.js';
import { AppError } from '../../errors/index.js';
import type { Registry } from '../../registry/index.js';
import { late, type Metrics, type Queue, type QueueMessage } from '../../store/index.js';
import { DeliveredMessage } from './messages.js';
import type { AwsStore } from './store.js';
import { inLogContext } from './log-context.js';

/** Kept for writing the end of a build. */
const RESERVE_MS = 20_000;
const METRIC_OF: Readonly<Record<string, string>> = { succeeded: 'BuildsSucceeded', cancelled: 'BuildsCancelled' };
/** Deliveries after which a build that never fits is given up. */
const MAX_DELIVERIES = 3;

export interface AwsBuilderDeps {
  readonly store: AwsStore;
  readonly registry: Registry;
  readonly queue: Queue;
  readonly metrics: Metrics;
  /** Where workers run; without it a RUN that is not in the cache fails. */
  readonly tasks?: BuildTasks;
}

export class AwsBuilder {
  private readonly build: () => Promise<BuildFunction>;
  private readonly builds: BuildService;
  private readonly handOver: HandOver | undefined;

  /**
   * @param options.platform what images are built for unless asked otherwise
   * @param options.dockerHub `yes` when a base name without a host may mean Docker Hub
   * @param options.sourcePolicy the operator's, packed
   */
  constructor(
    private readonly deps: AwsBuilderDeps,
    options: { readonly platform: string; readonly dockerHub: string; readonly sourcePolicy?: string },
  ) {
    const { store, registry, queue, tasks } = deps;
    this.build = late(async () => {
      const { openImageBuilder } = await import('./image-builder.js');
      return openImageBuilder(store, registry, { ...options, hasWorkers: tasks !== undefined });
    });
    this.builds = new BuildService({ ...store, queue });
    this.handOver = tasks === undefined ? undefined : new HandOver({ ...store, builds: this.builds, tasks });
  }

  /** What no message told: workers that stopped, builds whose message was lost, secrets that nobody needs. */
  async sweep(): Promise<void> {
    const { builds, deps } = this;
    if (this.handOver !== undefined) await this.handOver.sweep();
    else {
      const at = { ...deps.store, builds };
      await eachOpenBuild(at, (state) => resendIfLost(at, state));
    }
    await this.builds.sweepSecrets();
  }

  /** @returns false when the message is to come again */
  async handle(message: QueueMessage, remainingMs: number): Promise<boolean> {
    const build = decodeMessage(message.body);
    const isSettled = await inLogContext({ build }, () => this.take(message, remainingMs));
    if (build !== undefined && isSettled) await inLogContext({ build }, () => this.tell(build));
    return isSettled;
  }

  private async take(message: QueueMessage, remainingMs: number): Promise<boolean> {
    const { store, queue } = this.deps;
    const delivery = new DeliveredMessage(queue);
    const budget = new AbortController();
    const isLast = message.deliveries >= MAX_DELIVERIES;
    const worker = new BuildWorker({
      ...store,
      queue: delivery,
      builds: this.builds,
      ...(this.handOver === undefined ? {} : { handOver: this.handOver }),
      build: async (request, call) => {
        const build = await this.build();
        return build(request, { ...call, signal: AbortSignal.any([call.signal, budget.signal]) });
      },
    });
    const timer = setTimeout(
      () => {
        if (isLast) budget.abort(timeLimit());
        else void worker.stop();
      },
      Math.max(0, remainingMs - RESERVE_MS),
    );
    try {
      await worker.handle(message);
    } finally {
      clearTimeout(timer);
    }
    return delivery.isAcknowledged;
  }

  /** What became of the build, as a metric. */
  private async tell(id: string): Promise<void> {
    const { metrics } = this.deps;
    const build = await this.builds.get(id);
    if (build === undefined) return;
    const { status, createdMs, finishedMs } = build;
    if (finishedMs === undefined) metrics.count('BuildsHandedOver');
    else {
      metrics.count(METRIC_OF[status] ?? 'BuildsFailed');
      metrics.timing('BuildDuration', finishedMs - createdMs, { status });
    }
  }
}

function timeLimit(): AppError {
  return new AppError('BUILD_TIME_LIMIT', `the build did not fit into ${MAX_DELIVERIES} runs of the builder function`, {
    kind: 'failed',
    hint: 'smaller steps: finished ones are kept and not made again',
  });
}
