/**
 * `environmentFiles` of task definitions: variables out of objects that S3 ARNs name. Read when the container is made,
 * as the ECS agent reads them (agent/taskresource/envFiles): a `#` begins a comment only at the start of a line, nothing
 * is quoted or expanded, and of several values the first counts.
 */
import { ContainerFailure } from './container-failure.js';
import type { ContainerPayload } from './types.js';

export interface ObjectName {
  readonly bucket: string;
  readonly key: string;
}

/** Stands where S3 does for task definitions. */
export interface ObjectSource {
  /** Undefined when there is no such object. */
  read(name: ObjectName): Promise<string | undefined>;
}

/** @returns undefined for what is no ARN of an object whose name ends in `.env`, as ECS wants it */
export function parseEnvironmentFile(arn: string): ObjectName | undefined {
  const [, bucket, key] = /^arn:[\w-]+:s3:::([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\/(.+\.env)$/s.exec(arn) ?? [];
  return bucket === undefined || key === undefined ? undefined : { bucket, key };
}

/** `NAME=value` for each variable of the files, the first value of each. */
export function parseEnvironment(text: string): readonly string[] {
  const values = new Map<string, string>();
  for (const line of text.split('\n').map((each) => each.replace(/\r$/, ''))) {
    const equals = line.indexOf('=');
    if (line.startsWith('#') || equals < 1) continue;
    // Within one file the last counts, as a map is filled.
    values.set(line.slice(0, equals), line);
  }
  return [...values.values()];
}

/** Weakest first, to be put under the definition's own variables. @throws ContainerFailure ResourceInitializationError */
export async function filedEnvironment(
  source: ObjectSource | undefined,
  container: ContainerPayload,
): Promise<readonly string[]> {
  const files: (readonly string[])[] = [];
  for (const arn of container.environmentFiles ?? []) {
    const name = parseEnvironmentFile(arn);
    if (source === undefined || name === undefined) throw failure(`${arn} cannot be read here`);
    const text = await source.read(name).catch((error: unknown) => {
      throw failure(`${arn}: ${error instanceof Error ? error.message : String(error)}`);
    });
    if (text === undefined) throw failure(`${arn}: there is no such object`);
    if (text.includes('\0')) throw failure(`${arn}: it is no text`);
    files.push(parseEnvironment(text));
  }
  return files.reverse().flat();
}

function failure(message: string): ContainerFailure {
  return new ContainerFailure('ResourceInitializationError', `failed to download env files: ${message}`);
}
