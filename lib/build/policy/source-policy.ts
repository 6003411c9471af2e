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

export class SourceRules {
  private readonly rules: readonly CompiledRule[];

  /** @throws AppError BUILD_SOURCE_POLICY_INVALID */
  constructor({ rules }: SourcePolicy) {
    const expressions = rules.flatMap(({ selector: { match_type: type, constraints = [] } }) => [
      ...(type === 'REGEX' ? [type] : []),
      ...constraints.filter(({ condition }) => condition === 'MATCHES'),
    ]);
    if (expressions.length > MAX_EXPRESSIONS) {
      const message = `the source policy has ${expressions.length} regular expressions`;
      throw new AppError('BUILD_SOURCE_POLICY_INVALID', message, {
        hint: `at most ${MAX_EXPRESSIONS}; * has no bound`,
      });
    }
    this.rules = rules.map((rule, i) => {
      if (rule.action === 'CONVERT' && rule.updates === undefined) throw invalid(i + 1, rule, 'it has no updates');
      return { number: i + 1, rule, pattern: guarded(i + 1, rule, () => patternOf(rule.selector)) };
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
    throw new AppError('BUILD_SOURCE_POLICY_LOOP', `the source policy converts ${source.identifier} without an end`, {
      hint: 'rules whose results they do not match themselves',
    });
  }

  /** @returns what a rule converted it into */
  private pass(source: SourceIdentifier): SourceIdentifier | undefined {
    let denied: CompiledRule | undefined;
    for (const each of this.rules) {
      if (!matches(each, source)) continue;
      const { action = 'ALLOW' } = each.rule;
      if (action === 'CONVERT') {
        const converted = convert(each, source);
        if (converted !== undefined) return converted;
      } else denied = action === 'DENY' ? each : undefined;
    }
    if (denied !== undefined) throw refused(source, denied);
    return undefined;
  }
}

function matches({ number, rule, pattern }: CompiledRule, { identifier, attrs }: SourceIdentifier): boolean {
  const { selector } = rule;
  return guarded(number, rule, () => {
    if (!(selector.constraints ?? []).every((constraint) => holds(constraint, attrs))) return false;
    return selector.identifier === identifier || pattern.matches(identifier);
  });
}

function holds({ key, value = '', condition = 'EQUAL' }: AttrConstraint, attrs: SourceIdentifier['attrs']): boolean {
  const actual = attrs[key] ?? '';
  if (condition === 'MATCHES') return patternOf({ identifier: value, match_type: 'REGEX' }).matches(actual);
  return (actual === value) === (condition === 'EQUAL');
}

function convert({ number, rule, pattern }: CompiledRule, source: SourceIdentifier): SourceIdentifier | undefined {
  const { identifier: template, attrs = {} } = rule.updates ?? {};
  const identifier = guarded(number, rule, () =>
    template === undefined || template === '' ? source.identifier : pattern.format(source.identifier, template),
  );
  const isSame = identifier === source.identifier && Object.entries(attrs).every(([k, v]) => source.attrs[k] === v);
  return isSame ? undefined : { identifier, attrs: { ...source.attrs, ...attrs } };
}

/** What a pattern has against something, as a refusal of its rule. */
function guarded<T>(number: number, rule: PolicyRule, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw invalid(number, rule, error instanceof Error ? error.message : String(error));
  }
}

function shown(number: number, { action = 'ALLOW', selector }: PolicyRule): string {
  return `rule ${number} (${action} ${selector.identifier})`;
}

function refused({ identifier }: SourceIdentifier, { number, rule }: CompiledRule): AppError {
  return new AppError('BUILD_SOURCE_DENIED', `${identifier} is denied by ${shown(number, rule)} of the source policy`, {
    kind: 'forbidden',
    hint: 'another source, or a later rule that allows it',
    details: { source: identifier, rule: number },
  });
}

function invalid(number: number, rule: PolicyRule, why: string): AppError {
  return new AppError('BUILD_SOURCE_POLICY_INVALID', `${shown(number, rule)} of the source policy is no rule: ${why}`, {
    hint: 'action, selector and, for CONVERT, updates, as BuildKit has them',
    details: { rule: number },
  });
}
