/**
 * A source policy on its way into a builder: checked while the template is made, so that a rule that is none fails there and
 * not every build, and packed into a variable of the function, since it has to change with the function and not beside it.
 */
import { deflateRawSync } from 'node:zlib';
import { SourcePolicy } from '../http/schemas/index.js';

/** BuildKit's JSON as an object. */
export type BuilderSourcePolicy = ReturnType<(typeof SourcePolicy)['parse']>;

/** All variables of a function together have 4 KB; the others take a third of it. */
const MAX_CHARACTERS = 2560;

/** @param where for messages @throws Error for what is no source policy, and for one that is too large */
export function packedPolicy(where: string, policy: BuilderSourcePolicy): string {
  const { error } = SourcePolicy.safeParse(policy);
  const [issue] = error?.issues ?? [];
  if (issue !== undefined) {
    const at = issue.path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
    throw new Error(
      `${where}: sourcePolicy${at}: ${issue.message}: BuildKit's JSON is accepted, ` +
        'as {"rules":[{"action":"DENY","selector":{"identifier":"docker-image://*"}}]}',
    );
  }
  const packed = deflateRawSync(JSON.stringify(policy), { level: 9 }).toString('base64');
  if (packed.length > MAX_CHARACTERS) {
    throw new Error(
      `${where}: sourcePolicy has ${policy.rules.length} rules, ${packed.length} characters when packed: ` +
        `at most ${MAX_CHARACTERS} fit beside the function's other variables; rules with * take the place of many`,
    );
  }
  return packed;
}
