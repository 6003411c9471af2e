/**
 * What a container uses of the machine at this moment, from its cgroup (version 1, 2 or both mounted) and the counters
 * of its network interfaces. Numbers the kernel does not give here are absent.
 */
import { readFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { cgroupFolders, cgroupProcesses } from './cgroup.js';
import type { HostScope } from '../types.js';

export interface ContainerUsage {
  /** Nanoseconds of processor time since the container began. */
  readonly cpu: {
    readonly totalNs: number;
    readonly userNs: number;
    readonly kernelNs: number;
    /** Of all processors of the machine, since it began. */
    readonly systemNs: number;
    readonly processors: number;
    readonly periods: number;
    readonly throttledPeriods: number;
    readonly throttledNs: number;
  };
  readonly memory: {
    readonly usageBytes: number;
    readonly maxUsageBytes: number;
    /** The machine's memory where there is no limit. */
    readonly limitBytes: number;
    /** As the kernel names them in memory.stat. */
    readonly stat: Readonly<Record<string, number>>;
  };
  readonly processes: { readonly current: number; readonly limit?: number };
  readonly disk: readonly {
    readonly major: number;
    readonly minor: number;
    readonly readBytes: number;
    readonly writtenBytes: number;
  }[];
  /** By name; without lo. Empty for a container on the host's network. */
  readonly interfaces: Readonly<Record<string, InterfaceCounters>>;
}

export interface InterfaceCounters {
  readonly rxBytes: number;
  readonly rxPackets: number;
  readonly rxErrors: number;
  readonly rxDropped: number;
  readonly txBytes: number;
  readonly txPackets: number;
  readonly txErrors: number;
  readonly txDropped: number;
}

/** Linux counts processor time in hundredths of a second in these files. */
const TICK_NS = 10_000_000;
const USEC_NS = 1000;

/** @returns undefined when nothing of the container runs */
export async function containerUsage(
  scope: HostScope,
  id: string,
  options: { readonly ownNetwork: boolean },
): Promise<ContainerUsage | undefined> {
  const folders = await cgroupFolders(scope, id);
  const [pid] = await cgroupProcesses(scope, id);
  if (pid === undefined) return undefined;
  const read: Reader = async (name) => {
    for (const folder of folders) {
      const text = await readFile(join(folder, name), 'utf8').catch(() => undefined);
      if (text !== undefined) return text;
    }
    return undefined;
  };
  const limit = number(await read('pids.max'));
  return {
    cpu: await cpuUsage(read),
    memory: await memoryUsage(read),
    processes: { current: number(await read('pids.current')) ?? 0, ...(limit === undefined ? {} : { limit }) },
    disk: await diskUsage(read),
    interfaces: options.ownNetwork
      ? parseInterfaces(await readFile(`/proc/${pid}/net/dev`, 'utf8').catch(() => ''))
      : {},
  };
}

/** The first hierarchy that has the file. */
type Reader = (name: string) => Promise<string | undefined>;

async function cpuUsage(read: Reader): Promise<ContainerUsage['cpu']> {
  const stat = pairs(await read('cpu.stat'));
  const old = pairs(await read('cpuacct.stat'));
  const oldTotal = number(await read('cpuacct.usage'));
  const [line = ''] = (await readFile('/proc/stat', 'utf8')).split('\n');
  // Guest time is part of user time already.
  const ticks = line.split(/\s+/).slice(1, 9).map(Number);
  const processors = (await readFile('/proc/cpuinfo', 'utf8')).match(/^processor\s*:/gm)?.length ?? 1;
  return {
    totalNs: oldTotal ?? (stat['usage_usec'] ?? 0) * USEC_NS,
    userNs: old['user'] === undefined ? (stat['user_usec'] ?? 0) * USEC_NS : old['user'] * TICK_NS,
    kernelNs: old['system'] === undefined ? (stat['system_usec'] ?? 0) * USEC_NS : old['system'] * TICK_NS,
    systemNs: ticks.reduce((sum, tick) => sum + tick, 0) * TICK_NS,
    processors,
    periods: stat['nr_periods'] ?? 0,
    throttledPeriods: stat['nr_throttled'] ?? 0,
    throttledNs: stat['throttled_time'] ?? (stat['throttled_usec'] ?? 0) * USEC_NS,
  };
}

async function memoryUsage(read: Reader): Promise<ContainerUsage['memory']> {
  const usageBytes = number((await read('memory.usage_in_bytes')) ?? (await read('memory.current'))) ?? 0;
  const limit = number((await read('memory.limit_in_bytes')) ?? (await read('memory.max')));
  const most = number((await read('memory.max_usage_in_bytes')) ?? (await read('memory.peak')));
  return {
    usageBytes,
    maxUsageBytes: most ?? usageBytes,
    limitBytes: Math.min(limit ?? Infinity, totalmem()),
    stat: pairs(await read('memory.stat')),
  };
}

async function diskUsage(read: Reader): Promise<ContainerUsage['disk']> {
  const devices = new Map<string, { readBytes: number; writtenBytes: number }>();
  const add = (device: string, kind: 'readBytes' | 'writtenBytes', bytes: string): void => {
    const counted = devices.get(device) ?? { readBytes: 0, writtenBytes: 0 };
    devices.set(device, { ...counted, [kind]: counted[kind] + Number(bytes) });
  };
  const old = (await read('blkio.throttle.io_service_bytes')) ?? '';
  for (const [, device = '', kind, bytes = ''] of old.matchAll(/^(\d+:\d+) (Read|Write) (\d+)$/gm)) {
    add(device, kind === 'Read' ? 'readBytes' : 'writtenBytes', bytes);
  }
  const unified = (await read('io.stat')) ?? '';
  for (const [, device = '', read_ = '', written = ''] of unified.matchAll(
    /^(\d+:\d+) .*?rbytes=(\d+) wbytes=(\d+)/gm,
  )) {
    add(device, 'readBytes', read_);
    add(device, 'writtenBytes', written);
  }
  return [...devices].map(([device, counted]) => {
    const [major = 0, minor = 0] = device.split(':').map(Number);
    return { major, minor, ...counted };
  });
}

/** @param text of /proc/<pid>/net/dev */
function parseInterfaces(text: string): Readonly<Record<string, InterfaceCounters>> {
  const found: Record<string, InterfaceCounters> = {};
  for (const [, name = '', values = ''] of text.matchAll(/^\s*([^\s:|]+):\s*(.+)$/gm)) {
    if (name === 'lo') continue;
    const [rxBytes = 0, rxPackets = 0, rxErrors = 0, rxDropped = 0, , , , , ...tx] = values
      .trim()
      .split(/\s+/)
      .map(Number);
    const [txBytes = 0, txPackets = 0, txErrors = 0, txDropped = 0] = tx;
    found[name] = { rxBytes, rxPackets, rxErrors, rxDropped, txBytes, txPackets, txErrors, txDropped };
  }
  return found;
}

/** `name value` on each line. */
function pairs(text = ''): Readonly<Record<string, number>> {
  return Object.fromEntries([...text.matchAll(/^(\S+) (\d+)$/gm)].map(([, name = '', value]) => [name, Number(value)]));
}

/** Undefined for `max` and for what is not there. */
function number(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+\s*$/.test(text) ? Number(text) : undefined;
}
