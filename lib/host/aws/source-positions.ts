/**
 * Stacks of bundled code, told in positions of the sources. `--enable-source-maps` would read every map before the first
 * answer; here a map is read when an error is told, which most processes never do.
 */
import { readFileSync } from 'node:fs';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { fileURLToPath } from 'node:url';

const POSITION = /(file:\/\/\/[^\s():]+\.mjs):(\d+):(\d+)/g;

const maps = new Map<string, SourceMap | undefined>();

/** The error itself, its stack rewritten. What has no map stays as it is. */
export function withSourcePositions<T>(error: T): T {
  if (error instanceof Error && error.stack !== undefined) error.stack = inSources(error.stack);
  return error;
}

export function inSources(stack: string): string {
  return stack.replaceAll(POSITION, (position: string, file: string, line: string, column: string) => {
    const found = mapOf(file)?.findEntry(Number(line) - 1, Number(column) - 1);
    if (found === undefined || !('originalSource' in found)) return position;
    return `${found.originalSource.replace(/^(\.\.\/)+/, '')}:${found.originalLine + 1}:${found.originalColumn + 1}`;
  });
}

function mapOf(file: string): SourceMap | undefined {
  if (!maps.has(file)) maps.set(file, readMap(file));
  return maps.get(file);
}

function readMap(url: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(`${fileURLToPath(url)}.map`, 'utf8')) as SourceMapPayload);
  } catch {
    // Told where it is in the bundle, then: better than an error about an error.
    return undefined;
  }
}
