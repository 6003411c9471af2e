/** The lint rules of BuildKit's ruleset.go: names, what they are about, and which of them a Dockerfile asks for. */
import { refusal } from '../errors.js';
import { DirectiveReader } from '../syntax/directives.js';
import type { CheckOptions, LintWarning } from '../types.js';

/** What each rule is about, in a line. */
export const LINT_RULES = {
  StageNameCasing: 'Stage names should be lowercase',
  FromAsCasing: "The 'as' keyword should match the case of the 'from' keyword",
  NoEmptyContinuation: 'Empty continuation lines will become errors in a future release',
  ConsistentInstructionCasing: 'All instructions should use the same casing (either upper or lower)',
  DuplicateStageName: 'Stage names should be unique',
  ReservedStageName: 'Reserved words should not be used as stage names',
  JSONArgsRecommended: 'JSON arguments are recommended for ENTRYPOINT and CMD, so that signals arrive',
  MaintainerDeprecated: 'MAINTAINER is deprecated, a label names the author',
  UndefinedArgInFrom: 'FROM should use declared ARGs only',
  WorkdirRelativePath: 'A relative WORKDIR depends on the base image when none before it is absolute',
  UndefinedVar: 'Variables should be defined before their use',
  MultipleInstructionsDisallowed: 'Of several CMD, ENTRYPOINT or HEALTHCHECK in a stage only the last one counts',
  LegacyKeyValueFormat: 'The key/value format with a blank as separator should not be used',
  InvalidBaseImagePlatform: 'The platform of the base image should be the one built for',
  RedundantTargetPlatform: '--platform=$TARGETPLATFORM in FROM is the default anyway',
  SecretsUsedInArgOrEnv: 'Secrets should not be in ARG or ENV',
  InvalidDefaultArgInFrom: 'Defaults of global ARGs should give valid base image names',
  FromPlatformFlagConstDisallowed: 'FROM --platform should not be a constant',
  CopyIgnoredFile: 'COPY and ADD should not name files that .dockerignore leaves out',
  InvalidDefinitionDescription: 'A comment above an ARG or a named FROM should be `# <name> <description>`',
  ExposeProtoCasing: 'The protocol in EXPOSE should be lowercase',
  ExposeInvalidFormat: 'EXPOSE should have no address and no host port',
} as const;

export type LintRule = keyof typeof LINT_RULES;

/** Rules that run only when a Dockerfile asks for them. */
const EXPERIMENTAL: ReadonlySet<string> = new Set<LintRule>(['InvalidDefinitionDescription']);
/** Rules about what a stage does: a stage that is not built is not asked. The others look at the whole file. */
const OF_BUILT_STAGES: ReadonlySet<string> = new Set<LintRule>([
  'JSONArgsRecommended',
  'WorkdirRelativePath',
  'UndefinedVar',
  'MultipleInstructionsDisallowed',
  'LegacyKeyValueFormat',
  'SecretsUsedInArgOrEnv',
  'CopyIgnoredFile',
  'ExposeProtoCasing',
  'ExposeInvalidFormat',
]);
/** Rules docker has no page for. */
const WITHOUT_PAGE: ReadonlySet<string> = new Set<LintRule>(['InvalidBaseImagePlatform']);

const NOTHING: CheckOptions = { skip: new Set(), experimental: new Set(), error: false };

/** `skip=A,B;error=true;experimental=all`. @throws AppError DOCKERFILE_CHECK */
export function parseCheckOptions(text: string): CheckOptions {
  const options = { ...NOTHING };
  if (text.trim() === '') return options;
  for (const part of splitAtMost(text.trim(), ';', 3)) {
    const equals = part.indexOf('=');
    const key = equals < 0 ? '' : part.slice(0, equals).trim();
    const value = part.slice(equals + 1).trim();
    if (key === 'skip') options.skip = ruleSet(value);
    else if (key === 'experimental') options.experimental = ruleSet(value);
    else if (key === 'error' && /^(1|t|true|0|f|false)$/i.test(value)) options.error = /^(1|t)/i.test(value);
    else {
      throw refusal('DOCKERFILE_CHECK', `the check option "${part}" is not known`, {
        hint: '# check=skip=<Rule>,<Rule>;error=true;experimental=<Rule>, or "all" for the rules',
        word: part,
      });
    }
  }
  return options;
}

function ruleSet(value: string): CheckOptions['skip'] {
  return value === 'all' ? 'all' : new Set(value.split(',').map((rule) => rule.trim()));
}

function splitAtMost(text: string, separator: string, count: number): string[] {
  const parts = text.split(separator);
  return parts.length <= count ? parts : [...parts.slice(0, count - 1), parts.slice(count - 1).join(separator)];
}

/** The options with those of a `# check=…` among an instruction's comments added. */
export function withComments(options: CheckOptions, comments: readonly string[]): CheckOptions {
  for (const comment of comments) {
    const directive = new DirectiveReader('').read(comment);
    if (directive?.name !== 'check') continue;
    try {
      const own = parseCheckOptions(directive.value.split(' ', 1)[0] ?? '');
      return {
        skip: union(options.skip, own.skip),
        experimental: union(options.experimental, own.experimental),
        error: options.error,
      };
    } catch {
      // Here a broken comment is a comment.
      return options;
    }
  }
  return options;
}

function union(a: CheckOptions['skip'], b: CheckOptions['skip']): CheckOptions['skip'] {
  return a === 'all' || b === 'all' ? 'all' : new Set([...a, ...b]);
}

/** Whether a finding counts only when its stage is built. */
export function isOfBuiltStages({ rule }: LintWarning): boolean {
  return OF_BUILT_STAGES.has(rule);
}

/** The warning, or none when the options silence its rule. */
export function warning(
  rule: LintRule,
  message: string,
  place: { readonly line: number; readonly comments?: readonly string[] },
  check: CheckOptions,
): LintWarning[] {
  const options = withComments(check, place.comments ?? []);
  const has = (set: CheckOptions['skip']): boolean => set === 'all' || set.has(rule);
  const runs = EXPERIMENTAL.has(rule) ? has(options.experimental) : !has(options.skip);
  if (!runs) return [];
  const { line } = place;
  return [WITHOUT_PAGE.has(rule) ? { rule, message, line } : { rule, message, line, url: urlOf(rule) }];
}

function urlOf(rule: LintRule): string {
  const words = rule.replace(/([a-z])([A-Z])/g, '$1-$2').replace(/([A-Z])([A-Z][a-z])/g, '$1-$2');
  return `https://docs.docker.com/go/dockerfile/rule/${words.toLowerCase()}/`;
}
