/**
 * What names of a cluster lead to, as users of Cloud Map expect it: `<service>.<cluster>` to the addresses of its tasks
 * that serve, as SRV with their ports, `_<port name>._tcp.<service>.<cluster>` to one port, and
 * `<task>.<service>.<cluster>`, which SRV records point to, to one task.
 */
import type { NameLookUp, ServingTask } from '../types.js';
import { type Answer, type Question, RecordType } from './dns-message.js';

/** @returns undefined when no service of this cluster is meant: the name is somebody else's */
export async function serviceAnswers(
  { name, type }: Pick<Question, 'name' | 'type'>,
  cluster: string,
  lookUp: NameLookUp,
): Promise<readonly Answer[] | undefined> {
  const labels = name.split('.');
  if (labels.length < 2 || labels.pop() !== cluster.toLowerCase()) return undefined;
  const service = labels.pop() ?? '';
  const found = await lookUp(cluster, service);
  if (found === undefined) return undefined;
  const wanted = (answer: Answer): boolean => type === RecordType.ANY || type === RecordType[answer.type];
  const host = `${found.name}.${cluster}`;
  const [first = '', second = ''] = labels;
  if (labels.length === 0) {
    return [...found.tasks.map(addressOf), ...found.tasks.flatMap((task) => portsOf(task, host))].filter(wanted);
  }
  if (labels.length === 1) {
    const task = found.tasks.find(({ taskId }) => taskId === first);
    return task === undefined ? undefined : [addressOf(task)].filter(wanted);
  }
  if (labels.length !== 2 || !first.startsWith('_') || !/^_(tcp|udp)$/.test(second)) return undefined;
  const protocol = second.slice(1);
  const named = found.tasks.flatMap((task) => {
    const ports = task.ports.filter(
      (port) => port.name?.toLowerCase() === first.slice(1) && port.protocol === protocol,
    );
    return portsOf({ ...task, ports }, host);
  });
  return named.filter(wanted);
}

/** Of a name that a service was given (Service Connect): the addresses of its tasks, and their ports as SRV. */
export async function aliasAnswers(
  { name, type }: Pick<Question, 'name' | 'type'>,
  cluster: string,
  lookUp: NameLookUp,
): Promise<readonly Answer[] | undefined> {
  const found = await lookUp(cluster, name);
  if (found === undefined) return undefined;
  const host = `${found.name}.${cluster}`;
  const all = [...found.tasks.map(addressOf), ...found.tasks.flatMap((task) => portsOf(task, host))];
  return all.filter((answer) => type === RecordType.ANY || type === RecordType[answer.type]);
}

function addressOf({ address }: ServingTask): Answer {
  return { type: 'A', address };
}

function portsOf({ taskId, ports }: ServingTask, host: string): Answer[] {
  return ports.map(({ port }) => ({ type: 'SRV', port, target: `${taskId}.${host}` }));
}
