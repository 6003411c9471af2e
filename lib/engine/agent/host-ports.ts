/**
 * Ports of the host for published container ports. Those a task definition leaves open are chosen from the range ECS
 * uses; a chosen port stays with its task, in the task's record, until the task is gone.
 */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { publishedPorts } from '../../runtime/index.js';
import { ContainerFailure } from './container-failure.js';
import type { ContainerPayload, NetworkBinding } from './types.js';

const FIRST = 32768;
const LAST = 60999;

export class HostPorts {
  private readonly taken = new Map<string, string>();
  private queue: Promise<unknown> = Promise.resolve();

  /** @param random a number from 0 up to, not including, 1 */
  constructor(
    private readonly bindIp: string,
    private readonly random: () => number,
  ) {}

  /** Remembers bindings from a record, so that nobody else is given them. */
  keep(owner: string, bindings: readonly NetworkBinding[]): void {
    for (const { hostPort, protocol } of bindings) this.taken.set(`${hostPort}/${protocol}`, owner);
  }

  release(owner: string): void {
    for (const [key, holder] of this.taken) if (holder === owner) this.taken.delete(key);
  }

  /**
   * Chooses and keeps a host port for every mapping.
   * @throws ContainerFailure CannotStartContainerError when a port that was asked for is in use
   */
  choose(owner: string, mappings: ContainerPayload['portMappings']): Promise<readonly NetworkBinding[]> {
    const chosen = this.queue.then(async () => {
      const bindings: NetworkBinding[] = [];
      const published = mappings.length === 0 ? new Set<string>() : await publishedPorts();
      const isFree = async (port: number, protocol: 'tcp' | 'udp'): Promise<boolean> => {
        const key = `${port}/${protocol}`;
        if (published.has(key) || (this.taken.has(key) && this.taken.get(key) !== owner)) return false;
        return !bindings.some((one) => `${one.hostPort}/${one.protocol}` === key) && canBind(port, protocol);
      };
      for (const { containerPort, hostPort = 0, protocol, lastContainerPort } of mappings) {
        if (lastContainerPort !== undefined) {
          const length = lastContainerPort - containerPort + 1;
          const first = await this.search((candidate) => isFree(candidate, protocol), length);
          const range = { container: `${containerPort}-${lastContainerPort}`, host: `${first}-${first + length - 1}` };
          for (let i = 0; i < length; i += 1) {
            const place = { containerPort: containerPort + i, hostPort: first + i };
            bindings.push({ bindIP: this.bindIp, ...place, protocol, range });
          }
          continue;
        }
        if (hostPort !== 0 && !(await isFree(hostPort, protocol))) {
          throw new ContainerFailure(
            'CannotStartContainerError',
            `Bind for ${this.bindIp}:${hostPort} failed: port is already allocated`,
          );
        }
        const port = hostPort === 0 ? await this.search((candidate) => isFree(candidate, protocol)) : hostPort;
        bindings.push({ bindIP: this.bindIp, containerPort, hostPort: port, protocol });
      }
      this.keep(owner, bindings);
      return bindings;
    });
    this.queue = chosen.catch(() => undefined);
    return chosen;
  }

  /** The first of so many free ports in a row. */
  private async search(isFree: (port: number) => Promise<boolean>, length = 1): Promise<number> {
    const size = LAST - FIRST + 1;
    const start = Math.floor(this.random() * size);
    let row = 0;
    for (let i = 0; i < size + length; i += 1) {
      const port = FIRST + ((start + i) % size);
      if (port === FIRST) row = 0;
      row = (await isFree(port)) ? row + 1 : 0;
      if (row === length) return port - length + 1;
    }
    const wanted = length === 1 ? 'no free host port' : `no ${length} free host ports in a row`;
    throw new ContainerFailure('CannotStartContainerError', `${wanted} from ${FIRST} to ${LAST}`);
  }
}

/** Whether no process of the host listens there. */
function canBind(port: number, protocol: 'tcp' | 'udp'): Promise<boolean> {
  return new Promise((resolve) => {
    if (protocol === 'udp') {
      const socket = createSocket('udp4');
      socket.once('error', () => resolve(false));
      socket.bind(port, '0.0.0.0', () => socket.close(() => resolve(true)));
      return;
    }
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '0.0.0.0', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
