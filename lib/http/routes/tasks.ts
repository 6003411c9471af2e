/** Tasks of services and one-off tasks; what their containers wrote. */
import * as z from 'zod';
import { AppError } from '../../errors/index.js';
import { defined, type TaskLogLine } from '../../platform/index.js';
import type { ApiDeps, ApiOptions } from '../api-deps.js';
import { EXEC_PROTOCOL } from '../exec/index.js';
import { joinExec, terminalSize } from '../exec-connection.js';
import { parseWith, wantsText } from '../input.js';
import { type Call, route, type Route } from '../route.js';
import { clusterName, flag, isSet, listOf, page, Task, TaskRun, TaskSpec } from '../schemas/index.js';
import { sseResponse, textResponse } from '../sse.js';
import { streamOptions } from './stream-options.js';

export function taskRoutes(deps: ApiDeps, options: ApiOptions): readonly Route[] {
  const { tasks } = deps.platform;
  const tag = 'Tasks';
  const base = '/v1/clusters/{cluster}/tasks';
  const params = z.strictObject({
    cluster: clusterName,
    task: z.string().regex(/^[0-9a-f-]{1,64}$/, { error: 'is not a task id' }),
  });
  return [
    route('POST', base, {
      id: 'runTask',
      summary: 'Runs a container once, or so many times at once, outside any service',
      tag,
      access: 'deploy',
      params: z.strictObject({ cluster: clusterName }),
      body: TaskSpec,
      answers: [
        { status: 201, description: 'The task', schema: Task },
        { status: 200, description: 'With a count: what was started, and why the rest was not', schema: TaskRun },
      ],
      handler: async ({ params, body: { count, ...spec }, call }) => {
        const intent = call.idempotency.intentOf(call, 'runTask');
        if (count !== undefined) return { body: await tasks.runMany(params.cluster, spec, count, intent) };
        const task = await tasks.run(params.cluster, spec, intent);
        return { status: 201, body: task, headers: { location: `/v1/clusters/${params.cluster}/tasks/${task.id}` } };
      },
    }),
    route('GET', base, {
      id: 'listTasks',
      summary: 'Tasks of a cluster; those that have not stopped when no status is asked for',
      tag,
      access: 'read',
      params: z.strictObject({ cluster: clusterName }),
      query: z.strictObject({
        ...page,
        service: z.string().min(1).exactOptional(),
        status: z.enum(['running', 'stopped', 'all']).exactOptional(),
      }),
      answers: [{ status: 200, description: 'A page of tasks, in no order of time', schema: listOf('tasks', Task) }],
      handler: async ({ params, query }) => {
        const { items, cursor } = await tasks.list(params.cluster, query);
        return { body: { tasks: items, cursor } };
      },
    }),
    route('GET', `${base}/{task}`, {
      id: 'getTask',
      summary: 'A task',
      tag,
      access: 'read',
      params,
      answers: [{ status: 200, description: 'The task', schema: Task }],
      handler: async ({ params }) => {
        const task = await tasks.get(params.cluster, params.task);
        if (task !== undefined) return { body: task };
        throw new AppError('TASK_NOT_FOUND', `there is no task ${params.task} in cluster ${params.cluster}`, {
          kind: 'not-found',
        });
      },
    }),
    route('GET', `${base}/{task}/logs`, {
      id: 'getTaskLogs',
      summary:
        'What the containers of a task wrote; with follow until they end; an event `end` says so; resumes by Last-Event-ID',
      tag,
      access: 'read',
      params,
      query: z.strictObject({
        container: z.string().min(1).exactOptional(),
        follow: flag.exactOptional(),
        sinceMs: z.coerce.number().int().min(0).exactOptional(),
      }),
      answers: [{ status: 200, description: 'Lines', streams: ['text/event-stream', 'text/plain'] }],
      handler: async ({ params, query, call }) => {
        const place = resumeFrom(call);
        const lines = await tasks.logs(
          params.cluster,
          params.task,
          defined({
            container: query.container,
            follow: isSet(query.follow),
            sinceMs: place?.timeMs ?? query.sinceMs,
            signal: call.signal,
          }),
        );
        const stream = streamOptions(deps, options, call);
        return wantsText(call.request)
          ? textResponse(() => asText(lines), stream)
          : sseResponse((signal) => asEvents(lines, place, signal), stream);
      },
    }),
    route('POST', `${base}/{task}/exec`, {
      id: 'execInTask',
      summary: `Runs a command in a container of a task; the connection becomes ${EXEC_PROTOCOL}`,
      tag,
      access: 'deploy',
      params,
      query: z.strictObject({
        command: z.array(z.string()).min(1),
        container: z.string().min(1).exactOptional(),
        rows: terminalSize.shape.rows.exactOptional(),
        columns: terminalSize.shape.columns.exactOptional(),
      }),
      answers: [{ status: 101, description: 'The session' }],
      handler: async ({ params, query, call }) => {
        if (call.upgrade?.protocol !== EXEC_PROTOCOL) {
          throw new AppError('UPGRADE_REQUIRED', 'an exec session needs a connection of its own', {
            hint: `Connection: Upgrade and Upgrade: ${EXEC_PROTOCOL}; or use wharf exec`,
          });
        }
        const { container, command, rows, columns } = query;
        const terminal = rows === undefined || columns === undefined ? undefined : { rows, columns };
        const session = await tasks.exec(params.cluster, params.task, defined({ container, command, terminal }));
        void joinExec(call.upgrade.accept(), session, { signal: call.signal, logger: deps.logger });
        return new Response(null, { status: 204 });
      },
    }),
    route('POST', `${base}/{task}/stop`, {
      id: 'stopTask',
      summary: 'Stops a task: SIGTERM, then SIGKILL after its stop time-out',
      tag,
      access: 'deploy',
      params,
      body: z.strictObject({ reason: z.string().max(255).exactOptional() }),
      answers: [{ status: 202, description: 'The task', schema: Task }],
      handler: async ({ params, body }) => ({
        status: 202,
        body: await tasks.stop(params.cluster, params.task, body.reason),
      }),
    }),
  ];
}

/** Lines have no numbers of their own: a place is a time and how many lines of that time were seen. */
interface Place {
  readonly timeMs: number;
  readonly seen: number;
}

function resumeFrom(call: Call): Place | undefined {
  const text = call.request.headers.get('last-event-id');
  if (text === null || text === '') return undefined;
  const valid = parseWith(
    z.string().regex(/^\d+-\d+$/, { error: 'is not an id of this stream' }),
    text,
    'header Last-Event-ID',
  );
  const [timeMs, seen] = valid.split('-');
  return { timeMs: Number(timeMs), seen: Number(seen) };
}

/** The last event says that there is no more to come: a stream that ends without it was cut, as by a restart. */
async function* asEvents(lines: AsyncIterable<TaskLogLine>, place: Place | undefined, signal: AbortSignal) {
  let timeMs = -1;
  let seen = 0;
  for await (const line of lines) {
    seen = line.timeMs === timeMs ? seen + 1 : 1;
    timeMs = line.timeMs;
    const isSeen = place !== undefined && (timeMs < place.timeMs || (timeMs === place.timeMs && seen <= place.seen));
    if (!isSeen) yield { id: `${timeMs}-${seen}`, event: 'line', data: line };
  }
  if (!signal.aborted) yield { id: timeMs < 0 ? '0-0' : `${timeMs}-${seen}`, event: 'end', data: {} };
}

async function* asText(lines: AsyncIterable<TaskLogLine>) {
  for await (const line of lines) yield `${line.text}\n`;
}
