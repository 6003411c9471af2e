/** The values that instances have of an attribute as small numbers, made when somebody first spreads over it. */
import type { InstanceSnapshot } from './snapshot.js';

export interface Values {
  /** By slot. */
  readonly codes: Int32Array;
  /** How many different ones. */
  readonly size: number;
}

export class AttributeValues {
  readonly #known = new Map<string, Values>();

  constructor(private readonly instances: readonly InstanceSnapshot[]) {}

  of(name: string): Values {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const numbers = new Map<string, number>();
    const codes = Int32Array.from(this.instances, ({ attributes }) => {
      const value = attributes.get(name) ?? '';
      const code = numbers.get(value) ?? numbers.size;
      numbers.set(value, code);
      return code;
    });
    const made = { codes, size: numbers.size };
    this.#known.set(name, made);
    return made;
  }
}

/** The attribute of a spread; undefined for the instance itself. */
export function spreadAttribute(field: string | undefined): string | undefined {
  return field === undefined || field === 'instanceId' || field === 'host'
    ? undefined
    : field.replace(/^attribute:/, '');
}

export function sameAttributes(a: InstanceSnapshot, b: InstanceSnapshot): boolean {
  if (a.attributes === b.attributes) return true;
  return (
    a.attributes.size === b.attributes.size &&
    [...a.attributes].every(([name, value]) => b.attributes.has(name) && b.attributes.get(name) === value)
  );
}
