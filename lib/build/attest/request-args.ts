/** What a build was asked for, under the names by which BuildKit's frontend gets it: `request.args` of provenance. */
import type { RunSettings } from '../run-settings.js';
import type { BuildRequest } from '../types.js';

type Pair = readonly [name: string, value: string];

/** Sorted by name; values of proxies without the password that may be in them. */
export function requestArgs(request: BuildRequest): readonly Pair[] {
  const { args = {}, labels = {}, contexts = {}, target, noCache, noCacheFilter, run } = request;
  const pairs: Pair[] = [
    ...Object.entries(args).map(([name, value]): Pair => [`build-arg:${name}`, withoutPassword(name, value)]),
    ...Object.entries(labels).map(([name, value]): Pair => [`label:${name}`, value]),
    ...Object.entries(contexts).map(([name, value]): Pair => [`context:${name}`, contextWord(name, value)]),
    ...given('target', target),
    ...given('no-cache', noCache === true ? '' : noCacheFilter?.join(',')),
    ...(run === undefined ? [] : runArgs(run)),
  ];
  return pairs.sort(([a], [b]) => (a < b ? -1 : 1));
}

function runArgs({ network, hosts, shmBytes, ulimits, limits = {} }: RunSettings): readonly Pair[] {
  return [
    ...given('force-network-mode', network),
    ...given(
      'add-hosts',
      hosts === undefined
        ? undefined
        : Object.entries(hosts)
            .map((each) => each.join('='))
            .join(','),
    ),
    ...given('shm-size', shmBytes),
    ...given('ulimit', ulimits?.map(({ name, soft, hard }) => `${name}=${soft}:${hard}`).join(',')),
    ...given('memory', limits.memoryBytes),
    ...given('memswap', limits.memorySwapBytes),
    ...given('cpushares', limits.cpuShares),
    ...given('cpuperiod', limits.cpuPeriodUs),
    ...given('cpuquota', limits.cpuQuotaUs),
    ...given('cpusetcpus', limits.cpusetCpus),
    ...given('cpusetmems', limits.cpusetMems),
  ];
}

function given(name: string, value: string | number | undefined): readonly Pair[] {
  return value === undefined ? [] : [[name, String(value)]];
}

function contextWord(name: string, context: NonNullable<BuildRequest['contexts']>[string]): string {
  if ('image' in context) return `docker-image://${context.image}`;
  if ('stage' in context) return `target:${context.stage}`;
  if ('url' in context) return context.url;
  return 'layout' in context ? `oci-layout://${context.layout}` : `local:${name}`;
}

function withoutPassword(name: string, value: string): string {
  return /^(https?|ftp|all)_proxy$/i.test(name) ? value.replace(/\/\/[^/@]*@/, '//xxxxx:xxxxx@') : value;
}
