import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { AppError } from '../../lib/errors/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { systemIds } from '../../lib/store/system/ids-system.js';
import { loggerMetrics, noMetrics, silentLogger } from '../../lib/store/index.js';
import { openKeyFile } from '../../lib/store/folder/key-file-fs.js';
import { jsonLogger } from '../../lib/store/system/logger-json-system.js';
import { manualClock } from '../fakes/manual-clock.js';

describe('the ids of the system', () => {
  test('are ULIDs, unique and ascending however many are made at once', () => {
    const ids = Array.from({ length: 10_000 }, () => systemIds.ulid());
    expect(ids.every((id) => /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/.test(id))).toBe(true);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.toSorted()).toEqual(ids);
  });

  test('begin with the time they were made', () => {
    const before = Date.now();
    const digits = Array.from(systemIds.ulid().slice(0, 10), (char) =>
      '0123456789ABCDEFGHJKMNPQRSTVWXYZ'.indexOf(char),
    );
    const madeMs = digits.reduce((ms, digit) => ms * 32 + digit, 0);
    expect(Math.abs(madeMs - before)).toBeLessThan(60_000);
  });

  test('give as many random bytes in hex as asked for', () => {
    expect(systemIds.hex(20)).toMatch(/^[0-9a-f]{40}$/);
    expect(systemIds.hex(20)).not.toBe(systemIds.hex(20));
  });
});

describe.each([
  ['of the system', systemClock],
  ['moved by hand', manualClock()],
])('the clock %s', (_name, clock) => {
  test('ends a sleep of no time', async () => {
    await clock.sleep(0);
    await expect(clock.sleep(-5)).resolves.toBeUndefined();
  });

  test('ends a sleep with the reason of the signal', async () => {
    const stop = new AbortController();
    const reason = new Error('stopped');
    const sleeping = clock.sleep(1_000_000, stop.signal);
    stop.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
    await expect(clock.sleep(1, stop.signal)).rejects.toBe(reason);
  });
});

test('a clock moved by hand ends the sleeps that are over, and only those', async () => {
  const clock = manualClock(1_000);
  const over: number[] = [];
  const sleeps = [10, 20, 30].map((ms) => clock.sleep(ms).then(() => over.push(ms)));
  clock.advance(20);
  await Promise.all(sleeps.slice(0, 2));
  expect([over, clock.nowMs()]).toEqual([[10, 20], 1_020]);
});

describe('the JSON logger', () => {
  const open = (level?: 'debug' | 'warn') => {
    const lines: string[] = [];
    const deps = { stream: { write: (text: string) => lines.push(text) }, clock: manualClock(0) };
    return { lines, logger: jsonLogger(deps, level === undefined ? {} : { level }) };
  };

  test('writes one object per line with time, level, message and fields', () => {
    const { lines, logger } = open();
    logger
      .child({ requestId: 'r1' })
      .child({ task: 't' })
      .info('two\nlines', { bytes: 5n, nested: { a: [1] } });
    expect(lines).toHaveLength(1);
    expect(lines[0]?.indexOf('\n')).toBe((lines[0]?.length ?? 0) - 1);
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      time: '1970-01-01T00:00:00.000Z',
      level: 'info',
      message: 'two\nlines',
      requestId: 'r1',
      task: 't',
      bytes: '5',
      nested: { a: [1] },
    });
  });

  test('drops lines below its level', () => {
    const quiet = open('warn');
    for (const level of ['debug', 'info', 'warn', 'error'] as const) quiet.logger[level]('x');
    expect(quiet.lines).toHaveLength(2);
    const usual = open();
    usual.logger.debug('x');
    expect(usual.lines).toEqual([]);
  });

  test('keeps the code and the cause of an error', () => {
    const { lines, logger } = open();
    logger.error('failed', { error: new AppError('SOME_CODE', 'outer', { cause: new Error('inner') }) });
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      error: { code: 'SOME_CODE', message: 'outer', cause: { message: 'inner' } },
    });
  });

  test('survives what JSON cannot hold', () => {
    const { lines, logger } = open();
    const loop: Record<string, unknown> = {};
    loop['self'] = loop;
    logger.info('loop', { loop });
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      message: 'loop',
      unloggable: expect.stringContaining('circular'),
    });
  });
});

test('metrics go to the log, or nowhere', () => {
  const lines: unknown[] = [];
  const metrics = loggerMetrics({ ...silentLogger, debug: (message, fields) => lines.push([message, fields]) });
  metrics.count('builds', 2, { outcome: 'ok' });
  metrics.timing('push', 15);
  expect(lines).toEqual([
    ['metric', { metric: 'builds', count: 2, outcome: 'ok' }],
    ['metric', { metric: 'push', milliseconds: 15 }],
  ]);
  noMetrics.count('builds');
  silentLogger.child({ a: 1 }).error('nothing');
  expect(lines).toHaveLength(2);
});

describe('the key file', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'wharf-key-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  test('is made once, readable by its owner only, whoever makes it at the same time', async () => {
    const path = join(directory, 'new', 'master.key');
    const keys = await Promise.all(Array.from({ length: 5 }, () => openKeyFile(path)));
    expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(1);
    expect(keys[0]).toHaveLength(32);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await readFile(path)).equals(keys[0] ?? Buffer.of())).toBe(true);
    expect(await readdir(join(directory, 'new'))).toEqual(['master.key']);
  });

  test('is refused when others may read it', async () => {
    const path = join(directory, 'exposed.key');
    await openKeyFile(path);
    await chmod(path, 0o640);
    await expect(openKeyFile(path)).rejects.toMatchObject({
      code: 'KEY_FILE_EXPOSED',
      message: expect.stringContaining('640'),
    });
  });

  test('is refused when it is no key, and never made anew', async () => {
    const path = join(directory, 'short.key');
    await writeFile(path, randomBytes(31), { mode: 0o600 });
    await expect(openKeyFile(path)).rejects.toMatchObject({ code: 'KEY_FILE_INVALID' });
    expect(await readFile(path)).toHaveLength(31);
  });
});
