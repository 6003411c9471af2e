/**
 * Which instance a task goes to: fit of CPU, memory, GPUs and host ports, then constraints, then strategies in sequence, then
 * the least loaded of what is left. A pure function; when nothing fits it says for every instance what was missing.
 */
import type { PlacementConstraintState, PlacementStrategyState, Resources } from '../state/model.js';
import { evaluate } from './evaluate.js';
import type { Pulls } from './locality.js';
import { parseQuery, type Query } from './query.js';
import { portKeys, type InstanceSnapshot, type Snapshot } from './snapshot.js';
import { narrow } from './strategy.js';

export interface Requirement {
  readonly needs: Resources;
  readonly constraints: readonly PlacementConstraintState[];
  readonly strategies: readonly PlacementStrategyState[];
  /** `service:web`, `family:job` or a client's own. */
  readonly group: string;
  /** Only these instances, for StartTask and for daemons. */
  readonly only?: ReadonlySet<string>;
  /** Only instances of this capacity provider. */
  readonly provider?: string;
  /** For `wharf:locality`. */
  readonly pulls?: Pulls;
}

export type RejectionReason =
  | 'RESOURCE:CPU'
  | 'RESOURCE:MEMORY'
  | 'RESOURCE:PORTS'
  | 'RESOURCE:PORTS_UDP'
  | 'RESOURCE:GPU'
  | 'AGENT'
  | 'INACTIVE'
  | 'MemberOf placement constraint unsatisfied.'
  | 'DistinctInstance placement constraint unsatisfied.';

/** One line of the explanation: what was needed and what was there, or which constraint did not hold. */
export interface Finding {
  readonly reason: RejectionReason;
  readonly need?: number | readonly number[];
  readonly have?: number | readonly number[];
  readonly constraint?: string;
}

export interface Rejection {
  readonly instanceId: string;
  readonly instanceArn: string;
  /** In the order of the checks; never empty. */
  readonly findings: readonly Finding[];
}

export type Placement =
  | { readonly placed: true; readonly instance: InstanceSnapshot }
  | { readonly placed: false; readonly rejections: readonly Rejection[] };

/** @param random 0 to below 1, for the strategy `random` */
export function place(snapshot: Snapshot, requirement: Requirement, random: () => number): Placement {
  const constraints = requirement.constraints.map(compileConstraint);
  const rejections: Rejection[] = [];
  const fitting: InstanceSnapshot[] = [];
  for (const instance of snapshot.instances) {
    if (requirement.only !== undefined && !requirement.only.has(instance.id)) continue;
    if (requirement.provider !== undefined && instance.capacityProviderName !== requirement.provider) continue;
    const findings = check(instance, snapshot.hostPorts, requirement, constraints);
    if (findings.length === 0) fitting.push(instance);
    else rejections.push({ instanceId: instance.id, instanceArn: instance.arn, findings });
  }
  const { strategies, group, pulls } = requirement;
  const instance = narrow(fitting, strategies, group, random, snapshot.instances, pulls);
  return instance === undefined ? { placed: false, rejections } : { placed: true, instance };
}

type Constraint =
  | { readonly type: 'distinctInstance' }
  | { readonly type: 'memberOf'; readonly expression: string; readonly query: Query };

function compileConstraint(constraint: PlacementConstraintState): Constraint {
  if (constraint.type === 'distinctInstance') return { type: 'distinctInstance' };
  const expression = constraint.expression ?? '';
  return { type: 'memberOf', expression, query: parseQuery(expression) };
}

function check(
  instance: InstanceSnapshot,
  hostPorts: ReadonlySet<string>,
  requirement: Requirement,
  constraints: readonly Constraint[],
): Finding[] {
  const { needs, group } = requirement;
  const findings: Finding[] = [];
  if (instance.status !== 'ACTIVE') findings.push({ reason: 'INACTIVE' });
  if (!instance.agentConnected) findings.push({ reason: 'AGENT' });
  const { remaining } = instance;
  if (needs.cpu > remaining.cpu) findings.push({ reason: 'RESOURCE:CPU', need: needs.cpu, have: remaining.cpu });
  if (needs.memoryMiB > remaining.memoryMiB) {
    findings.push({ reason: 'RESOURCE:MEMORY', need: needs.memoryMiB, have: remaining.memoryMiB });
  }
  const { gpus = 0 } = needs;
  const gpusLeft = remaining.gpuIds?.length ?? 0;
  if (gpus > gpusLeft) findings.push({ reason: 'RESOURCE:GPU', need: gpus, have: gpusLeft });
  const taken = new Set([...hostPorts, ...portKeys(remaining)]);
  const tcp = needs.tcpPorts.filter((port) => taken.has(`tcp#${String(port)}`));
  const udp = needs.udpPorts.filter((port) => taken.has(`udp#${String(port)}`));
  if (tcp.length > 0) findings.push({ reason: 'RESOURCE:PORTS', need: needs.tcpPorts, have: tcp });
  if (udp.length > 0) findings.push({ reason: 'RESOURCE:PORTS_UDP', need: needs.udpPorts, have: udp });
  for (const constraint of constraints) {
    if (constraint.type === 'distinctInstance') {
      if ((instance.groups.get(group) ?? 0) > 0) {
        findings.push({
          reason: 'DistinctInstance placement constraint unsatisfied.',
          constraint: `no other task of group ${group}`,
        });
      }
    } else if (!evaluate(constraint.query, instance)) {
      findings.push({
        reason: 'MemberOf placement constraint unsatisfied.',
        constraint: constraint.expression,
      });
    }
  }
  return findings;
}

/** The explanation of one instance as a line to read: `RESOURCE:CPU needs 512, has 256; …`. */
export function explain(rejection: Rejection): string {
  return rejection.findings
    .map((finding) => {
      if (finding.constraint !== undefined) return `${finding.reason} (${finding.constraint})`;
      if (finding.need === undefined) return finding.reason;
      const ports = Array.isArray(finding.have);
      return `${finding.reason} needs ${String(finding.need)}, ${ports ? 'in use' : 'has'} ${String(finding.have)}`;
    })
    .join('; ');
}
