/**
 * Deployments: from the record of an intent to what became of it. `advance` hands the release to ECS, `settle` reads
 * what ECS made of it; both may be run at any time, twice, or after a crash, and go on from where the records stand.
 */
import { AppError, toAppError } from '../errors/index.js';
import type { Clock, Logger, RecordStore, RecordWrite, StoredRecord } from '../store/index.js';
import { defined } from './values/index.js';
import { outcomeOf } from './deployment-outcome.js';
import { type Ecs, type EcsService, type EcsTask, isEcsError } from './ecs/index.js';
import type { Events } from './events.js';
import { keys, serviceNotFound } from './keys.js';
import { routeRequest } from './route-request.js';
import type { ServiceRecord } from './service-records.js';
import type { TaskDefinitions } from './task-definition.js';
import type { TaskPlacement } from './task-placement.js';
import { describeStop, projectTask } from './task-view.js';
import { Turns } from './turns.js';
import type { Routing } from './ports.js';
import type { Deployment, DeploymentStatus, Release } from './types.js';

export interface DeploymentsDeps {
  readonly ecs: Ecs;
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: Events;
  readonly taskDefinitions: TaskDefinitions;
  readonly routing: Routing;
}

export interface DeploymentsOptions {
  readonly placement: (cluster: string) => TaskPlacement;
  /** After so long a deployment that neither completed nor failed is given up; 15 minutes when absent. */
  readonly deadlineMs?: number;
}

const DEADLINE_MS = 15 * 60_000;
const OPEN: ReadonlySet<DeploymentStatus> = new Set(['pending', 'in-progress']);

export function isOpen(deployment: Deployment): boolean {
  return OPEN.has(deployment.status);
}

export class Deployments {
  private readonly turns = new Turns();

  constructor(
    private readonly deps: DeploymentsDeps,
    private readonly options: DeploymentsOptions,
  ) {}

  async get(cluster: string, service: string, id: string): Promise<Deployment | undefined> {
    return (await this.read(cluster, service, id))?.value;
  }

  /**
   * Hands a pending deployment to ECS. What ECS refuses for good ends the deployment as failed; what may pass leaves
   * it pending for the loop.
   * @throws AppError as ECS gave it
   */
  async advance(cluster: string, service: string, id: string): Promise<Deployment> {
    return this.turns.take(`${cluster}/${service}`, async () => {
      const record = await this.read(cluster, service, id);
      if (record === undefined) throw serviceNotFound(cluster, service);
      if (record.value.status !== 'pending') return record.value;
      try {
        const release = await this.release(cluster, service, record.value.release);
        const arn = await this.deps.taskDefinitions.ensure({
          family: `${cluster}--${service}`,
          name: service,
          image: release.image,
          spec: release.spec,
          ports: release.ports,
        });
        // Known before ECS starts anything, so that the first task's event already finds its release.
        const named = await this.replace(record, { ...record.value, taskDefinitionArn: arn });
        if (named === undefined) return (await this.read(cluster, service, id))?.value ?? record.value;
        const made = await this.hand(named.value, release, arn);
        const primary = made.deployments?.find(({ status }) => status === 'PRIMARY');
        const started = defined({ ...named.value, status: 'in-progress' as const, ecsDeploymentId: primary?.id });
        return await this.write(named, started, []);
      } catch (error) {
        const refused = toAppError(error);
        const now = refused.retryable ? undefined : await this.read(cluster, service, id);
        if (now?.value.status === 'pending') await this.end(now, 'failed', refused.message);
        throw error;
      }
    });
  }

  /** Reads from ECS how the deployment stands and records what is new. */
  async settle(cluster: string, service: string): Promise<Deployment | undefined> {
    return this.turns.take(`${cluster}/${service}`, async () => {
      const meta = await this.deps.records.get<ServiceRecord>(keys.service(cluster, service));
      const record = meta === undefined ? undefined : await this.read(cluster, service, meta.value.deployment);
      if (meta === undefined || record?.value.status !== 'in-progress') return record?.value;
      const [found] = await this.deps.ecs.services.describe(cluster, [service]);
      const hasEarlier = meta.value.currentRelease !== undefined && meta.value.currentRelease !== record.value.release;
      const outcome = outcomeOf(record.value, found, { hasEarlier });
      if (outcome.state === 'open') return this.stillOpen(record, meta.value, outcome.note);
      if (outcome.state === 'completed') return this.end(record, 'completed', undefined);
      const rolledBackTo = outcome.state === 'rolled-back' ? meta.value.currentRelease : undefined;
      return this.end(record, outcome.state, await this.explain(record.value, outcome.reason), rolledBackTo);
    });
  }

  private async stillOpen(
    record: StoredRecord<Deployment>,
    meta: ServiceRecord,
    note: string | undefined,
  ): Promise<Deployment> {
    const waited = this.deps.clock.nowMs() - record.value.createdMs;
    if (waited > (this.options.deadlineMs ?? DEADLINE_MS)) return this.giveUp(record, meta, note);
    if (note === undefined || note === record.value.reason) return record.value;
    return this.write(record, { ...record.value, reason: note }, []);
  }

  /** Too long without an end: back to the last complete release, if there is one. */
  private async giveUp(
    record: StoredRecord<Deployment>,
    meta: ServiceRecord,
    note: string | undefined,
  ): Promise<Deployment> {
    const { cluster, service } = record.value;
    const minutes = Math.round((this.options.deadlineMs ?? DEADLINE_MS) / 60_000);
    const reason = await this.explain(
      record.value,
      `not complete after ${minutes} minutes${note === undefined ? '' : `: ${note}`}`,
    );
    if (meta.currentRelease === undefined || meta.currentRelease === record.value.release) {
      return this.end(record, 'failed', reason);
    }
    const release = await this.release(cluster, service, meta.currentRelease);
    const arn = await this.deps.taskDefinitions.ensure({
      family: `${cluster}--${service}`,
      name: service,
      image: release.image,
      spec: release.spec,
      ports: release.ports,
    });
    await this.hand(record.value, release, arn);
    return this.end(record, 'rolled-back', reason, meta.currentRelease);
  }

  private async hand(deployment: Deployment, release: Release, taskDefinition: string): Promise<EcsService> {
    const { cluster, service } = deployment;
    const loadBalancer = await this.loadBalancer(cluster, service, release);
    const { health } = release.spec;
    const shape = {
      cluster,
      taskDefinition,
      desiredCount: release.spec.count,
      deploymentConfiguration: {
        minimumHealthyPercent: 100,
        maximumPercent: 200,
        deploymentCircuitBreaker: { enable: true, rollback: true },
      },
      placementStrategy: [{ type: 'spread' as const, field: 'instanceId' }],
      loadBalancers: loadBalancer === undefined ? [] : [loadBalancer],
      ...(loadBalancer === undefined ? {} : { healthCheckGracePeriodSeconds: health?.startPeriodSeconds ?? 60 }),
    };
    const [existing] = await this.deps.ecs.services.describe(cluster, [service]);
    if (existing?.status === 'ACTIVE') {
      // After a failure ECS does nothing for the same definition unless told to.
      const hasFailed = existing.deployments?.some(({ rolloutState }) => rolloutState === 'FAILED') ?? false;
      return this.deps.ecs.services.update({ ...shape, service, forceNewDeployment: hasFailed });
    }
    try {
      return await this.deps.ecs.services.create({
        ...shape,
        serviceName: service,
        ...this.options.placement(cluster),
        schedulingStrategy: 'REPLICA',
        clientToken: deployment.id,
      });
    } catch (error) {
      if (!isEcsError(error, 'InvalidParameterException') || existing?.status !== 'DRAINING') throw error;
      throw new AppError('SERVICE_DRAINING', `service ${service} of this name is still stopping its tasks`, {
        kind: 'conflict',
        retryable: true,
        hint: 'the release is deployed as soon as they have stopped',
        cause: error,
      });
    }
  }

  private async loadBalancer(cluster: string, service: string, release: Release) {
    const route = routeRequest(cluster, service, release);
    const targetGroupArn = route === undefined ? undefined : await this.deps.routing.targetGroupFor(route);
    if (route === undefined || targetGroupArn === undefined) return undefined;
    return { targetGroupArn, containerName: service, containerPort: route.port };
  }

  /** The reason with what the last stopped task of the deployment says, which is what people look for. */
  private async explain(deployment: Deployment, reason: string): Promise<string> {
    const { cluster, service, ecsDeploymentId } = deployment;
    try {
      const arns = await this.deps.ecs.tasks.list(cluster, 'STOPPED', service);
      const stopped = (await this.deps.ecs.tasks.describe(cluster, arns.slice(0, 100)))
        .filter((task) => task.startedBy === ecsDeploymentId && !stoppedByScheduler(task))
        .sort((a, b) => (b.stoppedAt?.getTime() ?? 0) - (a.stoppedAt?.getTime() ?? 0));
      const last = stopped[0];
      return last === undefined
        ? reason
        : `${reason.replace(/\.$/, '')}; its last task: ${describeStop(projectTask(last, cluster))}`;
    } catch (error) {
      this.deps.logger.warn('the stopped tasks of a failed deployment could not be read', { cluster, service, error });
      return reason;
    }
  }

  private async end(
    record: StoredRecord<Deployment>,
    status: 'completed' | 'failed' | 'rolled-back',
    reason: string | undefined,
    rolledBackTo?: number,
  ): Promise<Deployment> {
    const { reason: _note, ...before } = record.value;
    const ended: Deployment = defined({ ...before, status, reason, rolledBackTo, finishedMs: this.deps.clock.nowMs() });
    const { cluster, service, release } = ended;
    const metaKey = keys.service(cluster, service);
    const meta = await this.deps.records.get<ServiceRecord>(metaKey);
    const isNewest = meta?.value.deployment === ended.id;
    const writes: RecordWrite[] = [
      ...(isNewest ? [{ op: 'delete' as const, key: keys.work('deployment', cluster, service) }] : []),
      ...this.deps.events.writes({ cluster, service, type: `deployment-${status}`, message: sentence(ended) }),
    ];
    if (status === 'completed' && meta !== undefined) {
      const value: ServiceRecord = { ...meta.value, currentRelease: release };
      writes.push({ op: 'put', key: metaKey, value, expect: { version: meta.version } });
    }
    return this.write(record, ended, writes);
  }

  /** Writes the next state; when others were first, theirs holds. */
  private async write(
    record: StoredRecord<Deployment>,
    value: Deployment,
    others: readonly RecordWrite[],
  ): Promise<Deployment> {
    const key = { partition: record.partition, sort: record.sort };
    const result = await this.deps.records.transact([
      { op: 'put', key, value, expect: { version: record.version } },
      ...others,
    ]);
    if (result.outcome === 'written') return value;
    return (await this.deps.records.get<Deployment>(key))?.value ?? value;
  }

  /** The record as it is after this write; undefined when others were first. */
  private async replace(
    record: StoredRecord<Deployment>,
    value: Deployment,
  ): Promise<StoredRecord<Deployment> | undefined> {
    const key = { partition: record.partition, sort: record.sort };
    const result = await this.deps.records.put(key, value, { expect: { version: record.version } });
    return result.outcome === 'written' ? { ...record, value, version: result.version } : undefined;
  }

  private async release(cluster: string, service: string, number: number): Promise<Release> {
    const record = await this.deps.records.get<Release>(keys.release(cluster, service, number));
    if (record !== undefined) return record.value;
    throw new AppError('RELEASE_NOT_FOUND', `service ${service} has no release ${number}`, { kind: 'not-found' });
  }

  private read(cluster: string, service: string, id: string): Promise<StoredRecord<Deployment> | undefined> {
    return this.deps.records.get<Deployment>(keys.deployment(cluster, service, id));
  }
}

function stoppedByScheduler(task: EcsTask): boolean {
  return task.stopCode === 'ServiceSchedulerInitiated' && !/health check/i.test(task.stoppedReason ?? '');
}

function sentence(deployment: Deployment): string {
  const { release, status, reason, rolledBackTo } = deployment;
  if (status === 'completed') return `release ${release} is deployed`;
  const back = rolledBackTo === undefined ? '' : ` and was rolled back to release ${rolledBackTo}`;
  return `release ${release} failed${back}: ${reason ?? 'no reason was given'}`;
}
