/**
 * A source policy on its way into a builder: checked while the template is made, so that a rule that is none fails there and
 * not every build, and packed into a variable of the function, since it has to change with the function and not beside it.
 */
import { deflateRawSync } from 'node:zlib';
import { Token } from 'aws-cdk-lib';
import { SourcePolicy } from '../http/schemas/index.js';
import { checkKnown, refusedProp } from './refused-prop.js';

/** BuildKit's JSON as an object. */
export type BuilderSourcePolicy = ReturnType<(typeof SourcePolicy)['parse']>;

/** All variables of a function together have 4 KB; the others take a third of it. */
const MAX_CHARACTERS = 2560;

/** @param where for messages @throws Error for what is no source policy, and for one that is too large */
export function packedPolicy(where: string, policy: BuilderSourcePolicy): string {
  if (Token.isUnresolved(JSON.stringify(policy))) checkKnown(where, { sourcePolicy: Token.asAny(policy) });
  const { error } = SourcePolicy.safeParse(policy);
  const [issue] = error?.issues ?? [];
  if (issue !== undefined) {
    const at = issue.path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
    throw refusedProp(
      where,
      `sourcePolicy${at}: ${issue.message}: BuildKit's JSON is accepted, ` +
        'as {"rules":[{"action":"DENY","selector":{"identifier":"docker-image://*"}}]}',
    );
  }
  const packed = deflateRawSync(JSON.stringify(policy), { level: 9 }).toString('base64');
  if (packed.length > MAX_CHARACTERS) {
    throw refusedProp(
      where,
      `sourcePolicy has ${policy.rules.length} rules, ${packed.length} characters when packed: ` +
        `at most ${MAX_CHARACTERS} fit beside the function's other variables; rules with * take the place of many`,
    );
  }
  return packed;
}
