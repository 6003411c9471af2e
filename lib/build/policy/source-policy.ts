/**
 * A source policy in BuildKit's form: rules that allow, deny or convert what a build takes from elsewhere. Of those that
 * allow or deny the last that matches wins; one that converts begins the rules anew with what it made.
 */
import { AppError } from '../../errors/index.js';
import type { SourceIdentifier } from '../plan/source-identifiers.js';
import type { AttrConstraint, PolicyRule, SourcePolicy } from '../types.js';
import { type Pattern, patternOf } from './selector.js';

interface CompiledRule {
  /** From 1. */
  readonly number: number;
  readonly rule: PolicyRule;
  readonly pattern: Pattern;
}

/** BuildKit's bound. */
const MAX_CONVERSIONS = 20;
/** Each may take its time with every source. */
const MAX_EXPRESSIONS = 20;

/** Whose rules they are, for refusals. */
export type PolicyOwner = 'the source policy' | "this builder's source policy";

export class SourceRules {
  private readonly rules: readonly CompiledRule[];

  /** @throws AppError BUILD_SOURCE_POLICY_INVALID */
  constructor(
    { rules }: SourcePolicy,
    private readonly owner: PolicyOwner = 'the source policy',
  ) {
    const expressions = rules.flatMap(({ selector: { match_type: type, constraints = [] } }) => [
      ...(type === 'REGEX' ? [type] : []),
      ...constraints.filter(({ condition }) => condition === 'MATCHES'),
    ]);
    if (expressions.length > MAX_EXPRESSIONS) {
      const message = `${owner} has ${expressions.length} regular expressions`;
      throw new AppError('BUILD_SOURCE_POLICY_INVALID', message, {
        hint: `at most ${MAX_EXPRESSIONS}; * has no bound`,
      });
    }
    this.rules = rules.map((rule, i) => {
      if (rule.action === 'CONVERT' && rule.updates === undefined) {
        throw invalid(i + 1, rule, owner, 'it has no updates');
      }
      return { number: i + 1, rule, pattern: this.guarded(i + 1, rule, () => patternOf(rule.selector)) };
    });
  }

  /**
   * What is taken instead; the same when no rule converts it.
   * @throws AppError BUILD_SOURCE_DENIED, BUILD_SOURCE_POLICY_LOOP
   */
  evaluate(source: SourceIdentifier): SourceIdentifier {
    let current = source;
    for (let conversions = 0; conversions <= MAX_CONVERSIONS; conversions++) {
      const next = this.pass(current);
      if (next === undefined) return current;
      current = next;
    }
    throw new AppError('BUILD_SOURCE_POLICY_LOOP', `${this.owner} converts ${source.identifier} without an end`, {
      hint: 'rules whose results they do not match themselves',
    });
  }

  /**
   * Asked once it is known what a name stands for: a rule that is about the digest counts beside those about the name.
   * @throws AppError BUILD_SOURCE_DENIED
   */
  check(source: SourceIdentifier, pinned: SourceIdentifier): void {
    let denied: CompiledRule | undefined;
    for (const each of this.rules) {
      const { action = 'ALLOW' } = each.rule;
      if (action === 'CONVERT' || !(this.matches(each, source) || this.matches(each, pinned))) continue;
      denied = action === 'DENY' ? each : undefined;
    }
    if (denied !== undefined) throw refused(pinned, denied, this.owner);
  }

  /** @returns what a rule converted it into */
  private pass(source: SourceIdentifier): SourceIdentifier | undefined {
    let denied: CompiledRule | undefined;
    for (const each of this.rules) {
      if (!this.matches(each, source)) continue;
      const { action = 'ALLOW' } = each.rule;
      if (action === 'CONVERT') {
        const converted = this.convert(each, source);
        if (converted !== undefined) return converted;
      } else denied = action === 'DENY' ? each : undefined;
    }
    if (denied !== undefined) throw refused(source, denied, this.owner);
    return undefined;
  }

  private matches({ number, rule, pattern }: CompiledRule, { identifier, attrs }: SourceIdentifier): boolean {
    const { selector } = rule;
    return this.guarded(number, rule, () => {
      if (!(selector.constraints ?? []).every((constraint) => holds(constraint, attrs))) return false;
      return selector.identifier === identifier || pattern.matches(identifier);
    });
  }

  private convert({ number, rule, pattern }: CompiledRule, source: SourceIdentifier): SourceIdentifier | undefined {
    const { identifier: template, attrs = {} } = rule.updates ?? {};
    const identifier = this.guarded(number, rule, () =>
      template === undefined || template === '' ? source.identifier : pattern.format(source.identifier, template),
    );
    const isSame = identifier === source.identifier && Object.entries(attrs).every(([k, v]) => source.attrs[k] === v);
    return isSame ? undefined : { identifier, attrs: { ...source.attrs, ...attrs } };
  }

  /** What a pattern has against something, as a refusal of its rule. */
  private guarded<T>(number: number, rule: PolicyRule, work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw invalid(number, rule, this.owner, error instanceof Error ? error.message : String(error));
    }
  }
}

function holds({ key, value = '', condition = 'EQUAL' }: AttrConstraint, attrs: SourceIdentifier['attrs']): boolean {
  const actual = attrs[key] ?? '';
  if (condition === 'MATCHES') return patternOf({ identifier: value, match_type: 'REGEX' }).matches(actual);
  return (actual === value) === (condition === 'EQUAL');
}

function shown(number: number, { action = 'ALLOW', selector }: PolicyRule): string {
  return `rule ${number} (${action} ${selector.identifier})`;
}

function refused({ identifier }: SourceIdentifier, { number, rule }: CompiledRule, owner: PolicyOwner): AppError {
  return new AppError('BUILD_SOURCE_DENIED', `${identifier} is denied by ${shown(number, rule)} of ${owner}`, {
    kind: 'forbidden',
    hint: 'another source, or a later rule that allows it',
    details: { source: identifier, rule: number },
  });
}

function invalid(number: number, rule: PolicyRule, owner: PolicyOwner, why: string): AppError {
  return new AppError('BUILD_SOURCE_POLICY_INVALID', `${shown(number, rule)} of ${owner} is no rule: ${why}`, {
    hint: 'action, selector and, for CONVERT, updates, as BuildKit has them',
    details: { rule: number },
  });
}
