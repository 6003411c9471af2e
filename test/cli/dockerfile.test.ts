/** `wharf dockerfile`: a parser on the command line, without a server. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { runCli, streamOutput } from '../../lib/cli/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import type { Ran } from './cli-fixture.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wharf-dockerfile-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function run(args: readonly string[], stdin = ''): Promise<Ran> {
  const written = { stdout: '', stderr: '' };
  const env = { NO_COLOR: '1' };
  const code = await runCli(['dockerfile', ...args], {
    cwd: folder,
    env,
    output: streamOutput(
      { write: (text) => (written.stdout += text) },
      { write: (text) => (written.stderr += text) },
      env,
    ),
    clock: systemClock,
    interrupted: new AbortController().signal,
    version: '0.0.0',
    startEmbedded: () => Promise.reject(new Error('not in this test')),
    startEngine: () => Promise.reject(new Error('not in this test')),
    takeDown: () => Promise.reject(new Error('not in this test')),
    stdin: (async function* () {
      yield Buffer.from(stdin);
    })(),
  });
  return { code, ...written };
}

describe('dump', () => {
  const text = [
    'FROM --platform=linux/amd64 busybox AS build',
    'RUN --network=none ["echo", "a \\"b\\""]',
    'ONBUILD COPY --chown=1:2 a b /c/',
    'ENV A=1 B="2 3"',
    '',
  ].join('\n');
  const dump = [
    '(from ["--platform=linux/amd64"] "busybox" "AS" "build")',
    '(run ["--network=none"] "echo" "a \\"b\\"")',
    '(onbuild (copy ["--chown=1:2"] "a" "b" "/c/"))',
    '(env "A" "1" "=" "B" "\\"2 3\\"" "=")',
    '',
  ].join('\n');

  test('writes the statements as S-expressions, from a file and from standard input', async () => {
    await writeFile(join(folder, 'Dockerfile'), text);
    expect(await run(['dump', 'Dockerfile'])).toEqual({ code: 0, stdout: dump, stderr: '' });
    expect(await run(['dump'])).toEqual({ code: 0, stdout: dump, stderr: '' });
    expect(await run(['dump', '-'], text)).toEqual({ code: 0, stdout: dump, stderr: '' });
  });

  test('gives for a fixture what lies beside it', async () => {
    const fixture = join(process.cwd(), 'test/golden/dockerfile/good');
    const [name = ''] = (await import('node:fs')).readdirSync(fixture);
    const { stdout } = await run(['dump', join(fixture, name, 'Dockerfile')]);
    expect(stdout).toBe(readFileSync(join(fixture, name, 'dump'), 'utf8'));
  });

  test('of what is no Dockerfile leaves with 2 and says where and why', async () => {
    const { code, stdout, stderr } = await run(['dump', '-'], 'FROM scratch\nENV A\n');
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/Dockerfile:2:\d+: .*ENV/);
  });

  test('of a file that is not there leaves with 4', async () => {
    const { code, stderr } = await run(['dump', 'nowhere']);
    expect(code).toBe(4);
    expect(stderr).toContain('there is no nowhere');
  });

  test('of a folder says so', async () => {
    expect((await run(['dump', '.'])).stderr).toContain('a folder: .');
  });
});

describe('words and expand', () => {
  const env = ['--env', 'A=x y', '-e', 'B=', '--env', 'C=c=1'];

  test('words splits each line, variables in', async () => {
    const { code, stdout } = await run(['words', ...env], `$A "$A" 'q $A'\n\n$C\${B:-d} \\$A\n`);
    expect(code).toBe(0);
    expect(stdout).toBe('("x" "y" "x y" "q $A")\n()\n("c=1d" "$A")\n');
  });

  test('expand gives each line as one string', async () => {
    const { stdout } = await run(['expand', ...env], `$A "$A" 'q $A'\n\${C#c}\n`);
    expect(stdout).toBe('"x y x y q $A"\n"=1"\n');
  });

  test('takes the text of an option, and another escape character', async () => {
    expect((await run(['expand', '--text', '`$A $A', '--escape', '`', ...env])).stdout).toBe('"$A x y"\n');
  });

  test('a variable that is required leaves with 2 and the line', async () => {
    const { code, stderr } = await run(['expand'], 'fine\n${X:?needs X}\n');
    expect(code).toBe(2);
    expect(stderr).toMatch(/line 2: .*needs X/);
  });

  test.each([[['expand', '--env', 'A']], [['words', '--escape', 'x']], [['nonsense']]])(
    '%j is refused with 2',
    async (args) => {
      expect((await run(args)).code).toBe(2);
    },
  );
});

describe('lint', () => {
  const text = 'FROM busybox as base\nMAINTAINER me\n';

  test('prints what it finds and leaves with 0', async () => {
    const { code, stdout } = await run(['lint', '-'], text);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^stdin:1: FromAsCasing: /);
    expect(stdout).toMatch(/stdin:2: MaintainerDeprecated: .*https:/);
  });

  test('leaves with 2 when the file makes them errors', async () => {
    const { code, stdout, stderr } = await run(['lint', '-', '--json'], `# check=error=true\n${text}`);
    expect(code).toBe(2);
    expect((JSON.parse(stdout) as { warnings: object[] }).warnings).toHaveLength(2);
    expect(stderr).toContain('DOCKERFILE_CHECK_FAILED');
  });
});
