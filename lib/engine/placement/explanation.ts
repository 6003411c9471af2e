/**
 * Why a task has no place: one row per instance with all that stands against it, and the smallest change that would
 * give it one. Pure; what is kept of it and who may read it is decided elsewhere.
 */
import type { Finding, Rejection, Requirement } from './place.js';
import type { InstanceSnapshot, Snapshot } from './snapshot.js';

export type Dimension =
  'cpu' | 'memory' | 'gpu' | 'tcp-ports' | 'udp-ports' | 'agent' | 'status' | 'memberOf' | 'distinctInstance';

/** CPU in units, memory in MiB, GPUs by number; of ports, `have` are those in use. */
export interface ExplainedFinding {
  readonly dimension: Dimension;
  readonly need?: number | readonly number[];
  readonly have?: number | readonly number[];
  /** The constraint that does not hold. */
  readonly constraint?: string;
}

export interface ExplainedInstance {
  readonly instanceId: string;
  readonly instanceArn: string;
  readonly findings: readonly ExplainedFinding[];
  /** What the task would have to pull there, where its place depends on that. */
  readonly bytesToPull?: number;
}

export interface Explanation {
  /** What the task asks for: CPU units, MiB, host ports, GPUs where it wants any. */
  readonly needs: {
    readonly cpu: number;
    readonly memoryMiB: number;
    readonly tcpPorts: readonly number[];
    readonly udpPorts: readonly number[];
    readonly gpus?: number;
  };
  /** Every instance that was looked at. */
  readonly instances: readonly ExplainedInstance[];
  /** One sentence: the least that would have to change. */
  readonly smallestFix: string;
}

const DIMENSIONS: Readonly<Record<Finding['reason'], Dimension>> = {
  'RESOURCE:CPU': 'cpu',
  'RESOURCE:MEMORY': 'memory',
  'RESOURCE:GPU': 'gpu',
  'RESOURCE:PORTS': 'tcp-ports',
  'RESOURCE:PORTS_UDP': 'udp-ports',
  AGENT: 'agent',
  INACTIVE: 'status',
  'MemberOf placement constraint unsatisfied.': 'memberOf',
  'DistinctInstance placement constraint unsatisfied.': 'distinctInstance',
};

export function explainPlacement(
  snapshot: Snapshot,
  requirement: Pick<Requirement, 'needs' | 'group' | 'pulls'>,
  rejections: readonly Rejection[],
): Explanation {
  const { pulls } = requirement;
  return {
    needs: requirement.needs,
    instances: rejections.map(({ instanceId, instanceArn, findings }) => ({
      instanceId,
      instanceArn,
      findings: findings.map(({ reason, ...rest }) => ({ dimension: DIMENSIONS[reason], ...rest })),
      ...(pulls === undefined ? {} : { bytesToPull: pulls.totalBytes - (pulls.heldBytes.get(instanceId) ?? 0) }),
    })),
    smallestFix: smallestFix(snapshot, requirement, rejections),
  };
}

function smallestFix(
  snapshot: Snapshot,
  { needs, group }: Pick<Requirement, 'needs' | 'group'>,
  rejections: readonly Rejection[],
): string {
  const gpus = needs.gpus === undefined ? '' : ` and ${String(needs.gpus)} GPUs`;
  const size = `${String(needs.cpu)} CPU units and ${String(needs.memoryMiB)} MiB${gpus}`;
  const byId = new Map(snapshot.instances.map((instance) => [instance.id, instance]));
  let best: { readonly cost: number; readonly rejection: Rejection } | undefined;
  for (const rejection of rejections) {
    const instance = byId.get(rejection.instanceId);
    const cost = rejection.findings.reduce((sum, finding) => sum + costOf(finding, instance), 0);
    if (best === undefined || cost < best.cost) best = { cost, rejection };
  }
  if (best === undefined) return `Register a container instance with at least ${size} free.`;
  const { instanceId, findings } = best.rejection;
  const instance = byId.get(instanceId);
  if (findings.some((finding) => isTooSmall(finding, instance))) {
    const { cpu, memoryMiB, gpuIds } = instance?.registered ?? {};
    const itsGpus = needs.gpus === undefined ? '' : ` and ${String(gpuIds?.length ?? 0)} GPUs`;
    return `Ask for less, or register a larger instance: the task needs ${size}, and the closest instance, ${instanceId}, has ${String(cpu)} CPU units and ${String(memoryMiB)} MiB${itsGpus} when empty.`;
  }
  const steps = findings.map((finding) => stepOf(finding, instanceId, group));
  const sentence = [...new Set(steps)].join(', and ');
  return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}.`;
}

/** The least of these costs is the smallest change; 1 and a share for what stopping another task would give. */
function costOf(finding: Finding, instance: InstanceSnapshot | undefined): number {
  switch (DIMENSIONS[finding.reason]) {
    case 'cpu':
    case 'gpu':
    case 'memory': {
      const need = Number(finding.need);
      return 1 + (need - Number(finding.have)) / need + (isTooSmall(finding, instance) ? 5 : 0);
    }
    case 'tcp-ports':
    case 'udp-ports':
    case 'status':
      return 2;
    case 'distinctInstance':
      return 3;
    case 'agent':
    case 'memberOf':
    default:
      return 4;
  }
}

/** It would not fit on the instance if nothing else were there. */
function isTooSmall(finding: Finding, instance: InstanceSnapshot | undefined): boolean {
  if (instance?.registered === undefined) return false;
  if (finding.reason === 'RESOURCE:CPU') return Number(finding.need) > instance.registered.cpu;
  if (finding.reason === 'RESOURCE:GPU') return Number(finding.need) > (instance.registered.gpuIds?.length ?? 0);
  return finding.reason === 'RESOURCE:MEMORY' && Number(finding.need) > instance.registered.memoryMiB;
}

function stepOf(finding: Finding, instanceId: string, group: string): string {
  const short = (): string => String(Number(finding.need) - Number(finding.have));
  switch (DIMENSIONS[finding.reason]) {
    case 'cpu':
      return `free ${short()} CPU units on instance ${instanceId} or ask for ${String(finding.have)} at most`;
    case 'gpu':
      return `free ${short()} GPUs on instance ${instanceId} or ask for ${String(finding.have)} at most`;
    case 'memory':
      return `free ${short()} MiB on instance ${instanceId} or ask for ${String(finding.have)} at most`;
    case 'tcp-ports':
    case 'udp-ports':
      return `stop what uses host port ${String(finding.have)}, or leave the host port out so that a free one is chosen`;
    case 'status':
      return `set instance ${instanceId} to ACTIVE again`;
    case 'agent':
      return `connect the agent of instance ${instanceId} again`;
    case 'distinctInstance':
      return `register one more instance: instance ${instanceId} runs a task of group ${group} already`;
    case 'memberOf':
    default:
      return `give instance ${instanceId} what the constraint "${finding.constraint ?? ''}" asks for, or change it`;
  }
}

/** A row as text: `cpu needs 512, has 256; memberOf attribute:x == y`. */
export function explainedText({ findings }: ExplainedInstance): string {
  return findings
    .map(({ dimension, need, have, constraint }) => {
      if (constraint !== undefined) return `${dimension} ${constraint}`;
      if (need === undefined) return dimension;
      return `${dimension} needs ${String(need)}, ${Array.isArray(have) ? 'in use' : 'has'} ${String(have)}`;
    })
    .join('; ');
}
