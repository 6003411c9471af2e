/**
 * What stands between one task and an instance: room, GPUs, ports, constraints. It is filled anew for each decision; asked
 * about a slot it answers from arrays.
 */
import { evaluate } from './evaluate.js';
import type { InstanceLayout } from './instance-layout.js';
import type { KnownExpression } from './known-expressions.js';
import type { Requirement } from './place.js';
import { portKeys } from './snapshot.js';

const NO_PORTS: readonly string[] = [];

export class Filter {
  #layout: InstanceLayout;
  #cpu = 0;
  #memory = 0;
  #gpus = 0;
  #ports = NO_PORTS;
  #only: ReadonlySet<string> | undefined;
  #provider: string | undefined;
  /** Tasks of the group by slot, where it may have none. */
  #alone: Int32Array | undefined;
  readonly #expressions: KnownExpression[] = [];

  constructor(layout: InstanceLayout) {
    this.#layout = layout;
  }

  /** @returns false when no instance will do */
  set(layout: InstanceLayout, requirement: Requirement, hostPorts: ReadonlySet<string>): boolean {
    const { needs, constraints, group, only, provider } = requirement;
    this.#layout = layout;
    this.#cpu = needs.cpu;
    this.#memory = needs.memoryMiB;
    this.#gpus = needs.gpus ?? 0;
    this.#ports = needs.tcpPorts.length + needs.udpPorts.length === 0 ? NO_PORTS : portKeys(needs);
    this.#only = only;
    this.#provider = provider;
    this.#alone = undefined;
    this.#expressions.length = 0;
    for (const { type, expression } of constraints) {
      if (type === 'distinctInstance') this.#alone = layout.group(group)?.bySlot;
      else this.#expressions.push(layout.expressions.of(expression ?? ''));
    }
    return !this.#ports.some((port) => hostPorts.has(port));
  }

  /** The only slots that are worth a look; undefined when that may be most of them. */
  candidates(): Iterable<number> | undefined {
    if (this.#only !== undefined) {
      return [...this.#only].flatMap((id) => this.#layout.slots.get(id) ?? []).sort((a, b) => a - b);
    }
    for (const { lasting } of this.#expressions) {
      if (lasting !== undefined && lasting.slots.length * 8 < lasting.meets.length) return lasting.slots;
    }
    return undefined;
  }

  accepts(slot: number): boolean {
    const layout = this.#layout;
    // Inside the bounds a typed array has a number everywhere.
    if ((layout.free[slot] as number) < this.#cpu) return false;
    if ((layout.memory[slot] as number) < this.#memory) return false;
    if (this.#alone !== undefined && this.#alone[slot] !== 0) return false;
    for (let index = 0; index < this.#expressions.length; index += 1) {
      if (!this.#meets(this.#expressions[index] as KnownExpression, slot)) return false;
    }
    if (this.#ports !== NO_PORTS && this.#ports.some((port) => layout.ports[slot]?.has(port) === true)) return false;
    if (this.#gpus > 0 && this.#gpus > (layout.instances[slot]?.remaining.gpuIds?.length ?? 0)) return false;
    if (this.#only !== undefined && !this.#only.has(layout.instances[slot]?.id ?? '')) return false;
    return this.#provider === undefined || layout.instances[slot]?.capacityProviderName === this.#provider;
  }

  #meets({ lasting, query }: KnownExpression, slot: number): boolean {
    if (lasting !== undefined) return lasting.meets[slot] === 1;
    const instance = this.#layout.instances[slot];
    return instance !== undefined && evaluate(query, instance);
  }
}
