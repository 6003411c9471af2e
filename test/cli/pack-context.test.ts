import { chmod, link, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { packContext } from '../../lib/cli/index.js';
import { openContextFolder } from '../../lib/layers/context/context-folder-fs.js';
import { readContext } from '../../lib/layers/index.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wharf-pack-'));
  await file('Dockerfile', 'FROM scratch\n');
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function file(path: string, text = path, mode = 0o644): Promise<void> {
  await mkdir(join(folder, path, '..'), { recursive: true });
  await writeFile(join(folder, path), text);
  await chmod(join(folder, path), mode);
}

async function packed(dockerfile?: string): Promise<Record<string, string>> {
  const { tar } = await packContext(folder, '.', dockerfile);
  const found: Record<string, string> = {};
  for await (const { entry, body } of readContext(tar)) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(chunk);
    const content = entry.type === 'file' ? Buffer.concat(chunks).toString() : (entry.linkTarget ?? '');
    found[entry.path] = `${entry.type} ${entry.mode.toString(8)} ${entry.uid}:${entry.gid} ${content}`.trimEnd();
  }
  return found;
}

describe('a packed context', () => {
  test('keeps content, modes and links; owners become root', async () => {
    await file('bin/run', 'go', 0o755);
    await file('bin/setuid', '', 0o4711);
    await symlink('run', join(folder, 'bin', 'link'));
    await chmod(join(folder, 'bin'), 0o700);
    const entries = await packed();
    expect(entries).toEqual({
      Dockerfile: 'file 644 0:0 FROM scratch',
      bin: 'directory 700 0:0',
      'bin/link': 'symlink 777 0:0 run',
      'bin/run': 'file 755 0:0 go',
      'bin/setuid': 'file 4711 0:0',
    });
  });

  test('keeps hard links between what goes along', async () => {
    await file('.dockerignore', 'a');
    await file('a', 'same');
    for (const name of ['b', 'c']) await link(join(folder, 'a'), join(folder, name));
    const { a, b, c } = await packed();
    expect([a, b, c]).toEqual([undefined, 'file 644 0:0 same', 'hardlink 644 0:0 b']);
  });

  test('leaves out what .dockerignore names, but never the Dockerfile and the ignore file', async () => {
    await file('.dockerignore', '*.md\nDockerfile\n.dockerignore\nnode_modules\ndeep/**\n!deep/kept/a\n');
    await file('README.md');
    await file('src/x.ts');
    await file('node_modules/p/index.js');
    await file('deep/kept/a');
    await file('deep/other/b');
    expect(Object.keys(await packed()).sort()).toEqual([
      '.dockerignore',
      'Dockerfile',
      'deep',
      'deep/kept',
      'deep/kept/a',
      'src',
      'src/x.ts',
    ]);
  });

  test('takes a Dockerfile from an ignored folder, with its own ignore file before the common one', async () => {
    await file('.dockerignore', 'a\nci\n');
    await file('ci/app.Dockerfile', 'FROM scratch\n');
    await file('ci/app.Dockerfile.dockerignore', 'b\nci\n');
    await file('a');
    await file('b');
    const { dockerfile } = await packContext(folder, '.', 'ci/app.Dockerfile');
    expect(dockerfile).toBe('ci/app.Dockerfile');
    const names = Object.keys(await packed('ci/app.Dockerfile')).sort();
    expect(names).toEqual([
      '.dockerignore',
      'Dockerfile',
      'a',
      'ci',
      'ci/app.Dockerfile',
      'ci/app.Dockerfile.dockerignore',
    ]);
  });

  test('has its Dockerfile in lower case, where there is no other', async () => {
    await rm(join(folder, 'Dockerfile'));
    await file('dockerfile', 'FROM scratch\n');
    await file('.dockerignore', '*');
    expect((await packContext(folder, '.')).dockerfile).toBe('dockerfile');
    expect(Object.keys(await packed()).sort()).toEqual(['.dockerignore', 'dockerfile']);
    await file('Dockerfile', 'FROM scratch\n');
    expect((await packContext(folder, '.')).dockerfile).toBe('Dockerfile');
  });

  test('by name has neither Dockerfile nor ignore file where that ignores them', async () => {
    for (const [name, text] of [
      ['.dockerignore', 'Dockerfile\n.dockerignore\nb\n'],
      ['Dockerfile.dockerignore', 'a'],
    ] as const) {
      await file(name, text);
    }
    for (const name of ['a', 'b']) await file(name);
    const context = openContextFolder(folder, '.', { isNamed: true });
    expect([...context.look()].map(({ entry }) => entry.path).sort()).toEqual(['Dockerfile.dockerignore', 'a']);
  });

  test('has the same bytes for the same folder', async () => {
    for (const name of ['b', 'a', 'c/d']) await file(name);
    const bytes = async () => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of (await packContext(folder, '.')).tar) chunks.push(chunk);
      return Buffer.concat(chunks);
    };
    expect((await bytes()).equals(await bytes())).toBe(true);
  });

  test('passes by what has no place in an image', async () => {
    const socket = createServer().listen(join(folder, 'socket'));
    await new Promise((resolve) => socket.once('listening', resolve));
    expect(Object.keys(await packed())).toEqual(['Dockerfile']);
    await new Promise((resolve) => socket.close(resolve));
  });

  test('refuses a name that is not UTF-8, unless it is ignored', async () => {
    await writeFile(Buffer.concat([Buffer.from(`${folder}/caf`), Buffer.of(0xe9)]), 'latin');
    await expect(packed()).rejects.toMatchObject({
      code: 'CONTEXT_NAME_INVALID',
      message: expect.stringContaining('caf'),
    });
    await file('.dockerignore', 'caf*');
    expect(Object.keys(await packed())).toEqual(['.dockerignore', 'Dockerfile']);
  });

  test('refuses a Dockerfile outside of it', async () => {
    await expect(packContext(folder, '.', '../Dockerfile')).rejects.toMatchObject({ code: 'DOCKERFILE_NOT_FOUND' });
    await expect(packContext(folder, 'Dockerfile')).rejects.toMatchObject({ code: 'CONTEXT_NOT_FOUND' });
  });
});
