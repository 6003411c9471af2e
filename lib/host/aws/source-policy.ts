/** The operator's source policy of a deployed builder, as `lib/constructs/builder-source-policy.ts` puts it into a variable. */
import { inflateRawSync } from 'node:zlib';
import type { ImageBuilderOptions, SourcePolicy } from '../../build/index.js';

/** Of what the variable may hold: far more than fits into it. */
const MAX_BYTES = 1024 * 1024;

/** @param variable absent for a builder without one */
export function operatorsPolicy(variable: string | undefined): Pick<ImageBuilderOptions, 'sourcePolicy'> {
  if (variable === undefined) return {};
  const text = inflateRawSync(Buffer.from(variable, 'base64'), { maxOutputLength: MAX_BYTES }).toString('utf8');
  return { sourcePolicy: JSON.parse(text) as SourcePolicy };
}
