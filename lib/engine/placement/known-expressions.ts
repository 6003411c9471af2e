/**
 * The expressions of constraints, parsed once; and where an answer follows from what tasks do not change, the answers
 * of all instances.
 */
import { evaluate } from './evaluate.js';
import { parseQuery, type Query } from './query.js';
import type { InstanceSnapshot } from './snapshot.js';

export interface KnownExpression {
  readonly query: Query;
  /** Absent when the answer changes with tasks. */
  readonly lasting?: {
    /** 1 for a slot that meets it. */
    readonly meets: Uint8Array;
    /** Those that do. */
    readonly slots: Int32Array;
  };
}

const MOST = 200;

export class KnownExpressions {
  readonly #known = new Map<string, KnownExpression>();

  constructor(private readonly instances: readonly InstanceSnapshot[]) {}

  /** @throws InvalidParameterException */
  of(text: string): KnownExpression {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const query = parseQuery(text);
    const made = isLasting(query) ? { query, lasting: this.#answers(query) } : { query };
    if (this.#known.size >= MOST) this.#known.clear();
    this.#known.set(text, made);
    return made;
  }

  #answers(query: Query): NonNullable<KnownExpression['lasting']> {
    const meets = Uint8Array.from(this.instances, (instance) => (evaluate(query, instance) ? 1 : 0));
    return { meets, slots: Int32Array.from(meets.keys()).filter((slot) => meets[slot] === 1) };
  }
}

/** Asks for nothing that changes while tasks come and go. */
function isLasting(query: Query): boolean {
  switch (query.kind) {
    case 'or':
    case 'and':
      return query.parts.every(isLasting);
    case 'not':
      return isLasting(query.part);
    case 'exists':
    case 'in':
    case 'matches':
    case 'compare':
    default:
      return query.subject.startsWith('attribute:') || query.subject === 'ec2InstanceId';
  }
}
