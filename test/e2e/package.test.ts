/** The npm package, as a project that installs it has it: constructs with types, and the command. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

const APP = `
import { App, Stack } from 'aws-cdk-lib';
import { ContainerCluster, RegistryFront, Wharf } from 'wharf';
import { WharfClient } from 'wharf/client';

const app = new App();
const stack = new Stack(app, 'Team');
const capacity = new ContainerCluster(stack, 'Capacity', { clusterName: 'team' });
const { store, builder } = new Wharf(stack, 'Wharf', { capacity });
new RegistryFront(stack, 'Registry', { store, builder, capacity, plainHttp: true });
app.synth();
export const Client: typeof WharfClient = WharfClient;
`;

let project: string;

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'wharf-package-'));
  await run('sh', [resolve('scripts/package.sh'), project], resolve('.'));
  const [tarball = ''] = (await readdir(project)).filter((name) => name.endsWith('.tgz'));
  const modules = join(project, 'node_modules');
  await mkdir(join(modules, 'wharf'), { recursive: true });
  await run('tar', ['-xzf', join(project, tarball), '-C', join(modules, 'wharf'), '--strip-components=1']);
  for (const name of await readdir(resolve('node_modules'))) {
    if (!name.startsWith('.') || name === '.bin') await symlink(resolve('node_modules', name), join(modules, name));
  }
  await writeFile(join(project, 'package.json'), '{ "type": "module" }');
}, 180_000);
afterAll(() => rm(project, { recursive: true, force: true }));

async function run(program: string, args: readonly string[], cwd = project): Promise<string> {
  const env = { ...process.env, NODE_OPTIONS: '' };
  try {
    return (await promisify(execFile)(program, [...args], { cwd, env, maxBuffer: 64e6 })).stdout;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { readonly stdout?: string; readonly stderr?: string };
    throw new Error(`${program} ${args.join(' ')}\n${stdout}\n${stderr}`, { cause: error });
  }
}

test('its constructs are typed, and synthesise with the functions bundled from the package', async () => {
  await writeFile(join(project, 'app.ts'), APP);
  const options = [
    '--module',
    'nodenext',
    '--target',
    'es2022',
    '--strict',
    '--types',
    'node',
    '--skipLibCheck',
    'false',
  ];
  await run(resolve('node_modules/.bin/tsc'), [...options, 'app.ts']);
  await writeFile(join(project, 'cdk.json'), '{}');
  await run(process.execPath, [
    '-e',
    "process.env.CDK_OUTDIR = 'out'; await import('./app.js')",
    '--input-type=module',
  ]);

  const template = JSON.parse(await readFile(join(project, 'out/Team.template.json'), 'utf8')) as {
    readonly Resources: Readonly<Record<string, { readonly Type: string }>>;
  };
  const types = Object.values(template.Resources).map(({ Type }) => Type);
  expect(types.filter((type) => type === 'AWS::Lambda::Function').length).toBeGreaterThanOrEqual(4);
  // Its bundle is made of the package, too.
  expect(types).toContain('Custom::WharfDockerfileImage');
}, 180_000);

test('they are taken by require, too, as the apps that `cdk init` makes do it', async () => {
  const app = `
    const { App, Stack } = require('aws-cdk-lib');
    const { ContainerCluster, ImageStore } = require('wharf');
    const app = new App({ outdir: 'required' });
    const stack = new Stack(app, 'Team');
    new ImageStore(stack, 'Store');
    new ContainerCluster(stack, 'Capacity');
    app.synth();`;
  await writeFile(join(project, 'app.cjs'), app);
  await run(process.execPath, ['app.cjs']);
  expect(await readFile(join(project, 'required/Team.template.json'), 'utf8')).toContain('AWS::ECS::Cluster');
}, 120_000);

test('the five minutes of the page of DockerfileImage begin in an empty folder, and synthesise', async () => {
  const page = await readFile(resolve('docs/aws/dockerfile-image.md'), 'utf8');
  const [, files = ''] = /\n(mkdir app [\s\S]*?)```/.exec(page) ?? [];
  const [, app = ''] = /`app\.ts`:\n\n```ts\n([\s\S]*?)```/.exec(page) ?? [];
  const folder = join(project, 'five-minutes');
  await mkdir(folder);
  await run('sh', ['-ec', files], folder);
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  await writeFile(join(folder, 'app.ts'), app);
  await run('env', ['CDK_OUTDIR=out', resolve('node_modules/.bin/tsx'), 'app.ts'], folder);
  const template = await readFile(join(folder, 'out/Greeting.template.json'), 'utf8');
  expect(JSON.parse(template)).toMatchObject({ Outputs: { Uri: { Value: expect.anything() } } });
  expect(template).toContain('Custom::WharfDockerfileImage');
}, 120_000);

test('whatever its pages lead to is in it', async () => {
  const installed = join(project, 'node_modules/wharf');
  const pages = (await readdir(installed, { recursive: true })).filter((name) => name.endsWith('.md'));
  const broken: string[] = [];
  for (const page of pages) {
    const text = await readFile(join(installed, page), 'utf8');
    for (const [, link = ''] of text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
      if (!/^\w+:/.test(link) && !existsSync(join(installed, page, '..', link))) broken.push(`${page}: ${link}`);
    }
  }
  expect(pages.length).toBeGreaterThan(20);
  expect(broken).toEqual([]);
});

test('an example out of it synthesises as it is, copied into a project', async () => {
  const example = join(project, 'node_modules/wharf/examples/cdk-spot/app.ts');
  await writeFile(join(project, 'example.ts'), await readFile(example));
  await run('env', ['CDK_OUTDIR=example', resolve('node_modules/.bin/tsx'), 'example.ts']);
  expect(await readFile(join(project, 'example/Cheap.template.json'), 'utf8')).toContain('price-capacity-optimized');
}, 120_000);

test('its command starts', async () => {
  const { version } = JSON.parse(await readFile(resolve('package.json'), 'utf8')) as { readonly version: string };
  const program = join(project, 'node_modules/wharf/bin/wharf.cjs');
  expect((await run(process.execPath, [program, '--version'])).trim()).toBe(version);
}, 60_000);
