/** Every command of the README's first steps, run as written but for the port, the data folder and an endless follow. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { requireTools } from '../host-tools.js';
import { PlatformProcess, runCommand } from './platform-process.js';

const host = requireTools('root', 'runc', 'conmon', 'bridge', 'ip', 'iptables', 'busybox', 'curl', 'skopeo', 'aws');

/** The lines of the shell block that holds this text. */
function shellBlock(marker: string): readonly string[] {
  const blocks = [...readFileSync('README.md', 'utf8').matchAll(/```sh\n([\s\S]*?)```/g)].map(
    (match) => match[1] ?? '',
  );
  const block = blocks.find((text) => text.includes(marker));
  if (block === undefined) throw new Error(`README.md has no shell block with ${marker}`);
  return block
    .split('\n')
    .map((line) => line.replace(/\s+#.*$/, '').trim())
    .filter((line) => line !== '');
}

host.describe('the README', () => {
  let platform: PlatformProcess;
  beforeAll(async () => {
    platform = await PlatformProcess.create();
    await platform.start();
  }, 60_000);
  afterAll(async () => {
    expect(await platform.remove()).toEqual([]);
  }, 120_000);

  /** Runs one line with this platform in place of the one that `npm start` would have made. */
  async function run(line: string): Promise<string> {
    const { ready, data } = platform;
    const command = line
      .replaceAll('7070', new URL(ready?.url ?? '').port)
      .replace(/^npm run base-image$/, `node --import tsx scripts/base-image.ts ${data}`)
      .replace(/^npx wharf (.*?)( -- .*)?( -f)?$/, `node ${resolve('bin/wharf.cjs')} $1 --data ${data}$2`);
    const environment = {
      TOKEN: ready?.token ?? '',
      REGISTRY_AUTH_FILE: join(platform.folder, 'auth.json'),
    };
    const outcome = await runCommand('sh', ['-ec', command], environment);
    if (outcome.exitCode !== 0) throw new Error(`${line}: ${outcome.exitCode}\n${outcome.stdout}\n${outcome.stderr}`);
    return outcome.stdout;
  }

  test('leads from a base image to a service that is rolled back', async () => {
    const lines = shellBlock('npm start').filter((line) => line !== 'npm start');
    expect(lines.length).toBeGreaterThanOrEqual(7);
    for (const line of lines) {
      const isAfterCtrlC = line === 'npx wharf down';
      if (isAfterCtrlC) await platform.end('SIGINT');
      const printed = await run(line);
      if (isAfterCtrlC) await platform.start();
      if (line.startsWith('curl')) expect(printed).toContain('Hello from Wharf');
      if (line.startsWith('npx wharf ps')) expect(printed).toContain('hello');
    }
  }, 180_000);

  test('shows clients that work unchanged', async () => {
    const lines = shellBlock('skopeo').filter((line) => !line.startsWith('docker'));
    const exports = lines.filter((line) => line.startsWith('export '));
    for (const line of lines.filter((each) => !exports.includes(each))) {
      expect(await run([...exports, line].join('\n'))).not.toBe('');
    }
  }, 120_000);
});
