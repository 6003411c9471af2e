/** `wharf deploy`: a new release of a service. What is not said stays as it is in the release that runs. */
import { AppError } from '../../errors/index.js';
import type { HealthSpec, PortSpec, ServiceSpec } from '../../platform/index.js';
import type { CommandDeps } from '../deps.js';
import { chooseCluster } from './cluster-choice.js';
import { releaseBefore } from './release-before.js';
import { finishRollout, type RolloutInput } from './rollout.js';

export interface DeployInput extends RolloutInput {
  readonly service: string;
  readonly cluster?: string;
  readonly image?: string;
  readonly count?: number;
  readonly ports?: readonly PortSpec[];
  readonly env: Readonly<Record<string, string>>;
  /** Variables whose values are secrets, by the name of those. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Variables that are taken away. */
  readonly envRemoved?: readonly string[];
  readonly command?: readonly string[];
  readonly cpu?: number;
  readonly memory?: number;
  readonly healthPath?: string;
  readonly stopTimeoutSeconds?: number;
}

export async function deploy(input: DeployInput, deps: CommandDeps): Promise<void> {
  const cluster = await chooseCluster(input.cluster, deps);
  const before = await releaseBefore(cluster, input.service, deps);
  const spec = specOf(input, before?.spec);
  await finishRollout(await deps.client.services.put(cluster, input.service, spec), input, deps);
}

/** @throws AppError IMAGE_MISSING */
export function specOf(input: DeployInput, before: ServiceSpec | undefined): ServiceSpec {
  const image = input.image ?? before?.image;
  if (image === undefined) {
    throw new AppError('IMAGE_MISSING', `service ${input.service} is new and needs an image`, {
      hint: `wharf deploy ${input.service} --image NAME[:TAG]`,
    });
  }
  const { env: envBefore, secrets: secretsBefore, ...rest } = before ?? {};
  // A variable has one source: what is said now, or else what was.
  const removed = new Set([...(input.envRemoved ?? []), ...Object.keys(input.env), ...Object.keys(input.secrets)]);
  const env = { ...without(envBefore, removed), ...input.env };
  const secrets = { ...without(secretsBefore, removed), ...input.secrets };
  return {
    ...rest,
    image,
    count: input.count ?? before?.count ?? 1,
    ...(Object.keys(env).length === 0 ? {} : { env }),
    ...(Object.keys(secrets).length === 0 ? {} : { secrets }),
    ...(input.ports === undefined ? {} : { ports: input.ports }),
    ...(input.command === undefined || input.command.length === 0 ? {} : { command: input.command }),
    ...(input.cpu === undefined ? {} : { cpu: input.cpu }),
    ...(input.memory === undefined ? {} : { memory: input.memory }),
    ...(input.healthPath === undefined ? {} : { health: healthOf(input.healthPath, before?.health) }),
    ...(input.stopTimeoutSeconds === undefined ? {} : { stopTimeoutSeconds: input.stopTimeoutSeconds }),
  };
}

function without(
  named: Readonly<Record<string, string>> | undefined,
  removed: ReadonlySet<string>,
): Record<string, string> {
  return Object.fromEntries(Object.entries(named ?? {}).filter(([name]) => !removed.has(name)));
}

function healthOf(path: string, before: HealthSpec | undefined): HealthSpec {
  if (before === undefined || 'command' in before) return { path };
  return { ...before, path };
}

/** `8080`, `80:8080` (host:container), each with `/udp` at will. @throws AppError PORT_INVALID */
export function parsePort(text: string): PortSpec {
  const [, host, container, protocol] = /^(?:(\d{1,5}):)?(\d{1,5})(?:\/(tcp|udp))?$/.exec(text) ?? [];
  const isPort = (digits: string | undefined) =>
    digits === undefined || (Number(digits) >= 1 && Number(digits) <= 65_535);
  if (container === undefined || !isPort(container) || !isPort(host)) {
    throw new AppError('PORT_INVALID', `--port ${text} is not a port`, {
      hint: '8080, 80:8080 (host:container), 53/udp',
    });
  }
  return {
    container: Number(container),
    ...(host === undefined ? {} : { host: Number(host) }),
    ...(protocol === 'udp' ? { protocol } : {}),
  };
}
