import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type ContainerLogLine, parseLogEntry, readContainerLog } from '../../lib/runtime/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';

const at = (seconds: number): string => new Date(Date.UTC(2026, 0, 1) + seconds * 1000).toISOString();
const entry = (seconds: number, flag: string, text: string, stream = 'stdout'): string =>
  `${at(seconds)} ${stream} ${flag} ${text}\n`;

describe('the log of a container', () => {
  let directory: string;
  let path: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'wharf-log-'));
    path = join(directory, 'c.log');
  });
  afterEach(() => rm(directory, { recursive: true }));

  const readAll = async (options: { sinceMs?: number } = {}): Promise<ContainerLogLine[]> => {
    const lines: ContainerLogLine[] = [];
    for await (const line of readContainerLog(path, systemClock, { ...options, ended: () => true })) lines.push(line);
    return lines;
  };

  test('is read entry by entry', () => {
    expect(parseLogEntry('2026-01-01T00:00:01.123456789+02:00 stderr P half ')).toEqual({
      timeMs: Date.UTC(2025, 11, 31, 22, 0, 1, 123),
      stream: 'stderr',
      partial: true,
      text: 'half ',
    });
    expect(parseLogEntry('2026-01-01T00:00:01Z stdout F ')?.text).toBe('');
    expect(parseLogEntry('not an entry')).toBeUndefined();
    expect(parseLogEntry('yesterday stdout F x')).toBeUndefined();
  });

  test('joins the parts of a line, each stream for itself', async () => {
    const text =
      entry(1, 'P', 'he') + entry(2, 'P', 'oo', 'stderr') + entry(3, 'F', 'llo') + entry(4, 'F', 'ps', 'stderr');
    await writeFile(path, text + entry(5, 'P', 'no newline'));
    expect((await readAll()).map(({ stream, text }) => `${stream} ${text}`)).toEqual([
      'stdout hello',
      'stderr oops',
      'stdout no newline',
    ]);
  });

  test('begins at the time that was asked for', async () => {
    await writeFile(path, entry(1, 'F', 'old') + entry(2, 'F', 'new'));
    expect((await readAll({ sinceMs: Date.UTC(2026, 0, 1) + 2000 })).map(({ text }) => text)).toEqual(['new']);
  });

  test('is empty when the container never wrote', async () => {
    expect(await readAll()).toEqual([]);
  });

  test('is followed from before it exists, across a rotation, to the container’s end', async () => {
    let ended = false;
    const seen: string[] = [];
    const expected = ['one', 'two', 'three', 'ünïcode'];
    // Each step is taken when the line before has come through: no step depends on time.
    const steps = [
      () => appendFile(path, entry(2, 'F', 'two')),
      async () => {
        await writeFile(`${path}.new`, entry(3, 'F', 'three'));
        await rename(`${path}.new`, path);
      },
      async () => {
        await appendFile(path, entry(4, 'F', 'ünïcode'));
        ended = true;
      },
    ];
    const following = (async () => {
      for await (const line of readContainerLog(path, systemClock, { follow: true, ended: () => ended })) {
        seen.push(line.text);
        await steps.shift()?.();
      }
    })();
    await writeFile(path, entry(1, 'F', 'one'));
    await following;
    expect(seen).toEqual(expected);
  });

  test('stops being followed when the reader goes away', async () => {
    const reader = new AbortController();
    await writeFile(path, entry(1, 'F', 'one'));
    for await (const line of readContainerLog(path, systemClock, {
      follow: true,
      signal: reader.signal,
      ended: () => false,
    })) {
      expect(line.text).toBe('one');
      reader.abort();
    }
  });
});
