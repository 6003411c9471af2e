/**
 * The front of one machine: a reverse proxy by host name, `<service>.<cluster>.localhost`, that is to the engine what
 * Elastic Load Balancing is to ECS. A new target gets requests when its probe has passed; one that leaves gets no new
 * ones, and may go when those under way have ended. That order is what makes a rolling update lose no request.
 */
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Target, TargetGroups } from '../../engine/index.js';
import type { RouteRequest, Routing } from '../../platform/index.js';
import type { Clock, Logger } from '../../store/index.js';
import { type Attempt, forward, forwardUpgrade } from './forward.js';
import { type HealthCheck, watchHealth } from './probe.js';
import { FrontTarget } from './target.js';

export interface FrontOptions {
  /** How long a leaving target may take for the requests under way; 30 s when absent. */
  readonly drainMs?: number;
}

export interface Front extends TargetGroups, Routing {
  /** Whether a request with this Host header is for a service, known or not. */
  owns(host: string | undefined): boolean;
  handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void>;
  upgrade(incoming: IncomingMessage, socket: Duplex, head: Buffer): Promise<void>;
  /** The port that clients reach the front at, for `urlFor`. */
  listening(port: number): void;
  /** Breaks off everything and ends the probes. */
  close(): void;
}

interface Group {
  readonly cluster: string;
  readonly service: string;
  check: HealthCheck;
  readonly targets: Map<string, FrontTarget>;
  /** Goes with its last target. */
  isRemoved: boolean;
}

const DRAIN_MS = 30_000;
const ARN = /^arn:aws:elasticloadbalancing:[^:]*:\d*:targetgroup\/([a-z0-9-]+)\.([a-z0-9-]+)\.(\d+)\/[0-9a-f]+$/;
const DEFAULT_CHECK: HealthCheck = { intervalMs: 5000, timeoutMs: 2000, retries: 2, startPeriodMs: 60_000 };

export function createFront(
  deps: { readonly clock: Clock; readonly logger: Logger },
  options: FrontOptions = {},
): Front {
  return new LocalFront(deps, options);
}

class LocalFront implements Front {
  private readonly groups = new Map<string, Group>();
  private turn = 0;
  private port: number | undefined;

  constructor(
    private readonly deps: { readonly clock: Clock; readonly logger: Logger },
    private readonly options: FrontOptions,
  ) {}

  async targetGroupFor(route: RouteRequest): Promise<string> {
    const arn = targetGroupArn(route);
    const group = this.group(arn);
    group.isRemoved = false;
    group.check = {
      intervalMs: route.intervalSeconds === undefined ? DEFAULT_CHECK.intervalMs : route.intervalSeconds * 1000,
      timeoutMs: route.timeoutSeconds === undefined ? DEFAULT_CHECK.timeoutMs : route.timeoutSeconds * 1000,
      retries: route.retries ?? DEFAULT_CHECK.retries,
      startPeriodMs:
        route.startPeriodSeconds === undefined ? DEFAULT_CHECK.startPeriodMs : route.startPeriodSeconds * 1000,
      ...(route.healthPath === undefined ? {} : { path: route.healthPath }),
    };
    return arn;
  }

  async remove(cluster: string, service: string): Promise<void> {
    for (const [arn, group] of this.groups) {
      if (group.cluster !== cluster || group.service !== service) continue;
      group.isRemoved = true;
      if (group.targets.size === 0) this.groups.delete(arn);
    }
  }

  urlFor(cluster: string, service: string): string | undefined {
    return this.port === undefined ? undefined : `http://${service}.${cluster}.localhost:${this.port}`;
  }

  listening(port: number): void {
    this.port = port;
  }

  async register(arn: string, address: Target): Promise<void> {
    const group = this.group(arn);
    const known = group.targets.get(keyOf(address));
    if (known !== undefined && known.state !== 'draining') return;
    const target = new FrontTarget(address);
    group.targets.set(keyOf(address), target);
    void watchHealth(target, () => group.check, this.deps.clock);
  }

  async deregister(arn: string, address: Target): Promise<void> {
    const group = this.groups.get(arn);
    const target = group?.targets.get(keyOf(address));
    if (group === undefined || target === undefined) return;
    target.state = 'draining';
    const drained = new AbortController();
    const late = this.deps.clock.sleep(this.options.drainMs ?? DRAIN_MS, drained.signal).catch(() => {});
    await Promise.race([target.idle(), late]);
    drained.abort();
    target.close();
    if (group.targets.get(keyOf(address)) === target) group.targets.delete(keyOf(address));
    if (group.isRemoved && group.targets.size === 0) this.groups.delete(arn);
  }

  health(arn: string, address: Target): ReturnType<TargetGroups['health']> {
    return this.groups.get(arn)?.targets.get(keyOf(address))?.state ?? 'unused';
  }

  owns(host: string | undefined): boolean {
    return hostName(host).endsWith('.localhost');
  }

  async handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const refusal = await this.serve(incoming, (target, isFresh) => forward(incoming, outgoing, target, isFresh));
    if (refusal === undefined) return;
    if (outgoing.headersSent) outgoing.destroy();
    else outgoing.writeHead(refusal.status, refusal.headers).end(refusal.body);
  }

  async upgrade(incoming: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy());
    const refusal = await this.serve(incoming, (target) => forwardUpgrade(incoming, socket, head, target));
    if (refusal === undefined || socket.destroyed) return;
    const headers = Object.entries(refusal.headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.end(
      `HTTP/1.1 ${refusal.status} ${refusal.reason}\r\n${headers.join('')}connection: close\r\n\r\n${refusal.body}`,
    );
  }

  close(): void {
    for (const group of this.groups.values()) for (const target of group.targets.values()) target.close();
    this.groups.clear();
  }

  /** Tries targets until one took the request; otherwise tells what to answer. */
  private async serve(
    incoming: IncomingMessage,
    attempt: (target: FrontTarget, isFresh: boolean) => Promise<Attempt>,
  ): Promise<Refusal | undefined> {
    const host = hostName(incoming.headers.host);
    const groups = this.groupsOf(host);
    if (groups.length === 0) return refusal(404, `No service answers at ${host}.`);
    const tried = new Set<FrontTarget>();
    for (;;) {
      const target = this.pick(groups, tried);
      if (target === undefined) {
        return tried.size === 0
          ? refusal(503, `No task of ${host} is healthy right now. Please try again in a moment.`)
          : refusal(502, `No task of ${host} accepted the connection.`);
      }
      const first = await attempt(target, false);
      const outcome = first === 'stale' ? await attempt(target, true) : first;
      if (outcome === 'done') return undefined;
      if (outcome === 'failed') return refusal(502, `The task that served ${host} broke off the connection.`);
      tried.add(target);
      target.isSuspect = true;
      this.deps.logger.warn('a target of the front refused the connection', { name: host, ...target.address });
    }
  }

  /** Of the healthy targets the one with the fewest requests under way; in turn among equals. */
  private pick(groups: readonly Group[], tried: ReadonlySet<FrontTarget>): FrontTarget | undefined {
    const eligible = groups
      .flatMap((group) => [...group.targets.values()])
      .filter((target) => target.isEligible && !tried.has(target));
    if (eligible.length === 0) return undefined;
    const fewest = Math.min(...eligible.map((target) => target.requests));
    const best = eligible.filter((target) => target.requests === fewest);
    this.turn = (this.turn + 1) % Number.MAX_SAFE_INTEGER;
    return best[this.turn % best.length];
  }

  /** A service has two groups while its port changes; both serve until the old one is empty. */
  private groupsOf(host: string): readonly Group[] {
    const [service, cluster, ...rest] = host.split('.');
    if (rest.join('.') !== 'localhost') return [];
    return [...this.groups.values()].filter((group) => group.service === service && group.cluster === cluster);
  }

  /** A group nobody asked for yet is known by its ARN: after a restart the engine may be first. */
  private group(arn: string): Group {
    const known = this.groups.get(arn);
    if (known !== undefined) return known;
    const [, cluster = '', service = ''] = ARN.exec(arn) ?? [];
    const made: Group = { cluster, service, check: DEFAULT_CHECK, targets: new Map(), isRemoved: false };
    this.groups.set(arn, made);
    return made;
  }
}

interface Refusal {
  readonly status: number;
  readonly reason: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const REASONS: Readonly<Record<number, string>> = { 404: 'Not Found', 502: 'Bad Gateway', 503: 'Service Unavailable' };

function refusal(status: number, sentence: string): Refusal {
  const body = `${sentence}\n`;
  const headers = {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
    ...(status === 503 ? { 'retry-after': '1' } : {}),
  };
  return { status, reason: REASONS[status] ?? 'Error', headers, body };
}

/** The same names give the same ARN, on any day. */
function targetGroupArn({ cluster, service, port }: RouteRequest): string {
  const name = `${cluster}.${service}.${port}`;
  const hex = createHash('sha256').update(name).digest('hex').slice(0, 16);
  return `arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/${name}/${hex}`;
}

function keyOf({ host, port }: Target): string {
  return `${host}:${port}`;
}

/** Lower case, without port and final dot. */
function hostName(host: string | undefined): string {
  return (host ?? '').toLowerCase().replace(/:\d+$/, '').replace(/\.$/, '');
}
