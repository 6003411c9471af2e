/**
 * The endpoint every container asks about itself and its task, and for its role's credentials: what the ECS agent
 * serves at 169.254.170.2. An id that nobody guesses tells who asks, and the address it is asked from must be the
 * task's own: no container sees another task. Ids are kept with the task, so the URLs outlive a restart.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { containerUsage, type HostScope, serviceAddress, TASK_ENDPOINT_PORT } from '../../../runtime/index.js';
import type { Clock, Logger } from '../../../store/index.js';
import type { ContainerPayload, EcsCall } from '../types.js';
import { containerView, type TaskSnapshot, taskView } from './metadata-view.js';
import { statsView, type UsageSample } from './stats-view.js';
import { credentialsView, type TaskCredentialsSource } from './task-credentials.js';
import { changeProtection, taskTags } from './ecs-questions.js';

export interface TaskEndpointDeps {
  readonly scope: HostScope;
  readonly credentials?: TaskCredentialsSource;
  /** The tasks of this agent that have not ended. */
  readonly tasks: () => Iterable<TaskSnapshot>;
  /** Answers what only the scheduler knows; absent until it is there. */
  readonly ecs: () => EcsCall | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const LISTEN_AGAIN_MS = 1000;
const PARALLEL = 256;
const LONGEST_REQUEST_MS = 10_000;
const LARGEST_BODY_BYTES = 4096;
/** Between the two samples of the first statistics that are asked for. */
const SAMPLE_MS = 200;
const OLDEST_SAMPLE_MS = 60_000;

export class TaskEndpoint {
  private readonly server: Server;
  private readonly closing = new AbortController();
  private readonly samples = new Map<string, UsageSample>();

  constructor(private readonly deps: TaskEndpointDeps) {
    this.server = createServer({ requestTimeout: LONGEST_REQUEST_MS }, (request, response) => {
      void this.serve(request, response);
    });
    this.server.maxConnections = PARALLEL;
  }

  /** Listens until it is closed; an address that is still taken, as by an earlier process that just ends, is tried again. */
  async listen(): Promise<void> {
    const { scope, clock, logger } = this.deps;
    for (let told = false; !this.closing.signal.aborted;) {
      const problem = await this.tryListen();
      if (problem === undefined) return;
      if (!told) logger.warn('the endpoint of tasks cannot listen yet', { at: serviceAddress(scope), problem });
      told = true;
      await clock.sleep(LISTEN_AGAIN_MS, this.closing.signal).catch(() => undefined);
    }
  }

  async close(): Promise<void> {
    this.closing.abort();
    this.server.closeAllConnections();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private tryListen(): Promise<string | undefined> {
    return new Promise((resolve) => {
      const failed = (error: Error): void => resolve(error.message);
      this.server.once('error', failed);
      this.server.listen(TASK_ENDPOINT_PORT, serviceAddress(this.deps.scope), () => {
        this.server.removeListener('error', failed);
        resolve(undefined);
      });
    });
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let answer: Answer;
    try {
      answer = await this.answer(request);
    } catch (error) {
      this.deps.logger.error('the endpoint of tasks failed', { error: String(error) });
      answer = { status: 500, body: 'failed to get task metadata' };
    }
    response.writeHead(answer.status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer.body));
  }

  private async answer(request: IncomingMessage): Promise<Answer> {
    const [path = ''] = (request.url ?? '').split('?');
    const from = request.socket.remoteAddress ?? '';
    const [, version, id = '', ...rest] = path.split('/');
    if (version === 'v2' && id === 'credentials') return this.credentials(rest[0] ?? '', from);
    const question = rest.filter((part) => part !== '').join('/');
    if (version === 'api') return this.agentApi(request, id, question, from);
    if (version !== 'v4' || request.method !== 'GET') return { status: 404, body: '404 page not found' };
    const asker = this.asker(id, from);
    if (asker === undefined) return unknownId(id, question);
    return this.metadata(asker, question);
  }

  private async metadata({ task, container }: Asker, question: string): Promise<Answer> {
    switch (question) {
      case '':
        return { status: 200, body: containerView(task, container) };
      case 'task':
        return { status: 200, body: taskView(task) };
      case 'taskWithTags':
        return { status: 200, body: taskView(task, await taskTags(this.deps.ecs(), task.payload)) };
      case 'stats':
        return this.stats(task, container);
      case 'task/stats': {
        const all = task.payload.containers.map(async (each) => [
          task.runtimeIdOf(each.name),
          (await this.statistics(task, each)) ?? null,
        ]);
        return { status: 200, body: Object.fromEntries(await Promise.all(all)) as object };
      }
      default:
        return { status: 404, body: '404 page not found' };
    }
  }

  private async stats(task: TaskSnapshot, container: ContainerPayload): Promise<Answer> {
    const body = await this.statistics(task, container);
    if (body !== undefined) return { status: 200, body };
    return { status: 500, body: `Unable to get container stats for: ${task.runtimeIdOf(container.name)}` };
  }

  private async statistics(task: TaskSnapshot, container: ContainerPayload): Promise<object | undefined> {
    const id = task.runtimeIdOf(container.name);
    const kept = this.samples.get(id);
    const nowMs = this.deps.clock.nowMs();
    const usable = kept !== undefined && nowMs - kept.timeMs >= SAMPLE_MS && nowMs - kept.timeMs < OLDEST_SAMPLE_MS;
    const before = usable ? kept : await this.sample(task, id);
    if (!usable) await this.deps.clock.sleep(SAMPLE_MS, this.closing.signal);
    const now = await this.sample(task, id);
    if (now === undefined || before === undefined) {
      this.samples.delete(id);
      return undefined;
    }
    this.samples.set(id, now);
    return statsView({ id, name: container.name }, now, before);
  }

  private async sample({ payload }: TaskSnapshot, id: string): Promise<UsageSample | undefined> {
    const usage = await containerUsage(this.deps.scope, id, { ownNetwork: payload.networkMode !== 'host' });
    return usage && { usage, timeMs: this.deps.clock.nowMs() };
  }

  /** Errors as the ECS agent's, with the codes the SDKs know. */
  private async credentials(id: string, from: string): Promise<Answer> {
    const refuse = (status: number, code: string, message: string): Answer => ({
      status,
      body: { code, message: `CredentialsV2Request: ${message}`, HTTPErrorCode: status },
    });
    if (id === '') return refuse(400, 'NoIdInRequest', 'No Credential ID in the request');
    for (const task of this.deps.tasks()) {
      if (task.record.endpoints?.credentials !== id || !isFrom(task, from)) continue;
      const role = task.payload.taskRoleArn ?? '';
      const found = await this.deps.credentials?.find(role).catch((error: unknown) => {
        this.deps.logger.error('credentials of a task role could not be found', { role, error: String(error) });
        return undefined;
      });
      if (found === undefined) return refuse(503, 'CredentialsUninitialized', 'Credentials uninitialized for ID');
      return { status: 200, body: credentialsView(role, found, this.deps.clock.nowMs()) };
    }
    return refuse(400, 'InvalidIdInRequest', 'Credentials not found');
  }

  /** ECS_AGENT_URI: task protection. */
  private async agentApi(request: IncomingMessage, id: string, question: string, from: string): Promise<Answer> {
    if (question !== 'task-protection/v1/state') return { status: 404, body: '404 page not found' };
    const asker = this.asker(id, from);
    if (asker === undefined) {
      return {
        status: 404,
        body: { error: { Code: 'ResourceNotFoundException', Message: 'Failed to find a task for the request' } },
      };
    }
    const change = request.method === 'PUT' ? await bodyOf(request) : undefined;
    return changeProtection(this.deps.ecs(), asker.task.payload, change);
  }

  private asker(id: string, from: string): Asker | undefined {
    for (const task of this.deps.tasks()) {
      const container = task.payload.containers.find(({ name }) => task.record.endpoints?.containers[name] === id);
      if (container !== undefined) return isFrom(task, from) ? { task, container } : undefined;
    }
    return undefined;
  }
}

interface Asker {
  readonly task: TaskSnapshot;
  readonly container: ContainerPayload;
}

/** Whether the address is one of the task's; tasks on the host's network have no other than the host's own. */
function isFrom({ payload, record }: TaskSnapshot, address: string): boolean {
  const plain = address.replace(/^::ffff:/, '');
  if (payload.networkMode === 'host') return plain.startsWith('127.');
  return Object.values(record.containers).some((container) => container.address === plain);
}

function unknownId(id: string, question: string): Answer {
  const about = question.endsWith('stats') ? `${question.startsWith('task') ? 'task' : 'container'} stats` : undefined;
  if (about === undefined && question === '') {
    const why = `unable to get container ID from request: unable to get docker ID from v3 endpoint ID: ${id}`;
    return { status: 404, body: `V4 container metadata handler: ${why}` };
  }
  const why = `unable to get task arn from request: unable to get task Arn from v3 endpoint ID: ${id}`;
  return { status: 404, body: `V4 ${about ?? 'task metadata'} handler: ${why}` };
}

/** @returns undefined for what is no JSON, or too long */
async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > LARGEST_BODY_BYTES) return null;
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch {
    return null;
  }
}
