/**
 * What a construct does not take, said while the template is made: where, which prop, why, and what would be taken. What
 * only a deployment knows (a token of CDK) is not judged here.
 */
import { Token } from 'aws-cdk-lib';
import { AppError } from '../errors/index.js';

/** @param where path of the construct */
export function refusedProp(where: string, sentence: string): AppError {
  return new AppError('PROP_REFUSED', `${where}: ${sentence}`);
}

type Values<T> = Readonly<Record<string, T | undefined>>;

/** @throws AppError PROP_REFUSED for one that is no whole number, or beyond the bounds */
export function checkWhole(where: string, values: Values<number>, min: number, max = Infinity): void {
  for (const [prop, value] of Object.entries(values)) {
    if (value === undefined || Token.isUnresolved(value)) continue;
    if (Number.isInteger(value) && value >= min && value <= max) continue;
    const bounds = max === Infinity ? `of ${min} or more` : `from ${min} to ${max}`;
    throw refusedProp(where, `${prop} ${value}: a whole number ${bounds} is wanted`);
  }
}

const PLATFORMS: readonly string[] = ['linux/arm64', 'linux/amd64'];

/** @throws AppError PROP_REFUSED for one that neither Lambda nor the instances run */
export function checkPlatform(where: string, platform: string | undefined): void {
  if (platform === undefined || Token.isUnresolved(platform) || PLATFORMS.includes(platform)) return;
  throw refusedProp(where, `platform ${platform}: ${PLATFORMS.join(' or ')} is wanted`);
}

/** For what is read while the template is made. @throws AppError PROP_REFUSED for a token */
export function checkKnown(where: string, values: Values<unknown>): void {
  for (const [prop, value] of Object.entries(values)) {
    if (!Token.isUnresolved(value)) continue;
    throw refusedProp(where, `${prop} is known only when the stack is deployed: what is known at synthesis is wanted`);
  }
}

/** Props that are for what is made here. @throws AppError PROP_REFUSED for one that would not be heeded */
export function checkHeeded(where: string, given: string, others: Values<unknown>): void {
  const [idle] = Object.entries(others).find(([, value]) => value !== undefined) ?? [];
  if (idle === undefined) return;
  throw refusedProp(
    where,
    `${idle} is for what is made where no ${given} is given, and one is: leave out one of the two`,
  );
}
