/** Programs of system calls: run where their processor is, compared with the assembler's words where it is not. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { probeSandbox } from '../../lib/host/aws/probe/sandbox-probe.js';
import { callProgram, isProbedProcessor, type SystemCall } from '../../lib/host/aws/probe/system-calls.js';
import { manualClock } from '../fakes/manual-clock.js';

const folder = mkdtempSync(join(tmpdir(), 'wharf-system-calls-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(...calls: readonly SystemCall[]): number | null {
  if (!isProbedProcessor(process.arch)) throw new Error(`there is no program for ${process.arch}`);
  const file = join(folder, 'program');
  rmSync(file, { force: true });
  writeFileSync(file, callProgram(process.arch, calls), { mode: 0o700 });
  return spawnSync(file).status;
}

describe('a program of system calls', () => {
  test('ends with 0 when all of them succeed', () => {
    expect(run()).toBe(0);
    expect(run({ name: 'chroot', arguments: [folder] }, { name: 'chroot', arguments: ['.'] })).toBe(0);
  });

  test('ends with the number of the first error', () => {
    const { ENOENT, ENOTDIR } = constants.errno;
    expect(run({ name: 'chroot', arguments: [join(folder, 'absent')] })).toBe(ENOENT);
    const calls: readonly SystemCall[] = [
      { name: 'ptrace', arguments: [0, 0, 0, 0] },
      { name: 'chroot', arguments: [join(folder, 'program')] },
      { name: 'chroot', arguments: [join(folder, 'absent')] },
    ];
    expect(run(...calls)).toBe(ENOTDIR);
  });

  test('is for arm64 the words that its assembler makes', () => {
    // chroot("/x"): mov x8, #51; adr of the text in x0; svc; cmp; b.ge; neg; mov x8, #93; svc; then exit(0).
    const bytes = Buffer.from(callProgram('arm64', [{ name: 'chroot', arguments: ['/x'] }]));
    expect([bytes.readUInt16LE(18), bytes.readUInt16LE(16)]).toEqual([183, 2]);
    const code = bytes.subarray(120, -3);
    const words = Array.from({ length: code.length / 4 }, (_, index) => code.readUInt32LE(4 * index).toString(16));
    const zeros = (register: number): string[] =>
      [0xd2800000, 0xf2a00000, 0xf2c00000, 0xf2e00000].map((word) => (word + register).toString(16));
    const exit = ['d2800ba8', ...zeros(8).slice(1), 'd4000001'];
    const textAt = 120 + code.length;
    const address = [(0xd2800000 + (textAt << 5)).toString(16), 'f2a00800', 'f2c00000', 'f2e00000'];
    expect(words).toEqual([
      ...['d2800668', ...zeros(8).slice(1)],
      ...address,
      ...[1, 2, 3, 4].flatMap(zeros),
      ...['d4000001', 'f100001f', '540000ea', 'cb0003e0'],
      ...exit,
      ...zeros(0),
      ...exit,
    ]);
    expect(bytes.subarray(-3).toString()).toBe('/x\0');
  });
});

test('the probe of a machine where everything is allowed leaves no mount behind', async () => {
  const mounts = (): string => execFileSync('cat', ['/proc/self/mountinfo'], { encoding: 'utf8' });
  const before = mounts();
  const report = await probeSandbox({ clock: manualClock() }, { name: 'here' });
  expect(report.trials).toMatchObject({ mount: 'yes', overlay: 'yes', chroot: 'yes', ptrace: 'yes' });
  expect(mounts()).toBe(before);
});
