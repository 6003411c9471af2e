/** A source policy as a file: BuildKit's JSON, sent as it is; the platform checks what its rules say. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { SourcePolicy } from '../build/index.js';
import { AppError } from '../errors/index.js';

/** @throws AppError SOURCE_POLICY_INVALID */
export async function readSourcePolicy(path: string, cwd: string): Promise<SourcePolicy> {
  const text = await readFile(resolve(cwd, path), 'utf8').catch((error: unknown) => {
    throw invalid(path, error instanceof Error ? error.message : 'it cannot be read');
  });
  let policy: unknown;
  try {
    policy = JSON.parse(text);
  } catch (error) {
    throw invalid(path, error instanceof Error ? error.message : 'it is not JSON');
  }
  if (typeof policy !== 'object' || policy === null || !('rules' in policy)) throw invalid(path, 'it has no "rules"');
  return policy as SourcePolicy;
}

function invalid(path: string, why: string): AppError {
  return new AppError('SOURCE_POLICY_INVALID', `the source policy ${path}: ${why}`, {
    hint: '{"rules":[{"action":"DENY","selector":{"identifier":"docker-image://*"}}]}',
  });
}
