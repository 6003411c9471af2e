/**
 * What a container uses, in the shape of Docker's statistics (Engine API, ContainerStats), as the ECS agent hands them
 * on at `/stats` and `/task/stats`.
 */
import type { ContainerUsage, InterfaceCounters } from '../../../runtime/index.js';

export interface UsageSample {
  readonly usage: ContainerUsage;
  readonly timeMs: number;
}

/** @param before an earlier sample: rates are the difference of the two */
export function statsView(
  container: { readonly id: string; readonly name: string },
  now: UsageSample,
  before: UsageSample,
): object {
  const { usage } = now;
  const interfaces = Object.entries(usage.interfaces);
  return {
    read: new Date(now.timeMs).toISOString(),
    preread: new Date(before.timeMs).toISOString(),
    pids_stats: usage.processes,
    blkio_stats: {
      io_service_bytes_recursive: usage.disk.flatMap(({ major, minor, readBytes, writtenBytes }) => [
        { major, minor, op: 'Read', value: readBytes },
        { major, minor, op: 'Write', value: writtenBytes },
        { major, minor, op: 'Total', value: readBytes + writtenBytes },
      ]),
    },
    num_procs: 0,
    storage_stats: {},
    cpu_stats: cpuView(usage.cpu),
    precpu_stats: cpuView(before.usage.cpu),
    memory_stats: {
      usage: usage.memory.usageBytes,
      max_usage: usage.memory.maxUsageBytes,
      stats: usage.memory.stat,
      limit: usage.memory.limitBytes,
    },
    name: `/${container.name}`,
    id: container.id,
    ...(interfaces.length === 0
      ? {}
      : {
          networks: Object.fromEntries(interfaces.map(([name, counters]) => [name, interfaceView(counters)])),
          network_rate_stats: ratesView(now, before),
        }),
  };
}

function cpuView(cpu: ContainerUsage['cpu']): object {
  return {
    cpu_usage: {
      total_usage: cpu.totalNs,
      usage_in_kernelmode: cpu.kernelNs,
      usage_in_usermode: cpu.userNs,
    },
    system_cpu_usage: cpu.systemNs,
    online_cpus: cpu.processors,
    throttling_data: {
      periods: cpu.periods,
      throttled_periods: cpu.throttledPeriods,
      throttled_time: cpu.throttledNs,
    },
  };
}

function interfaceView(counters: InterfaceCounters): object {
  return {
    rx_bytes: counters.rxBytes,
    rx_packets: counters.rxPackets,
    rx_errors: counters.rxErrors,
    rx_dropped: counters.rxDropped,
    tx_bytes: counters.txBytes,
    tx_packets: counters.txPackets,
    tx_errors: counters.txErrors,
    tx_dropped: counters.txDropped,
  };
}

function ratesView(now: UsageSample, before: UsageSample): object {
  const seconds = Math.max(0.001, (now.timeMs - before.timeMs) / 1000);
  const sum = (sample: UsageSample, of: 'rxBytes' | 'txBytes'): number =>
    Object.values(sample.usage.interfaces).reduce((total, counters) => total + counters[of], 0);
  const rate = (of: 'rxBytes' | 'txBytes'): number => Math.max(0, (sum(now, of) - sum(before, of)) / seconds);
  return { rx_bytes_per_sec: rate('rxBytes'), tx_bytes_per_sec: rate('txBytes') };
}
