/**
 * Makes the image that build workers run on AWS: the worker's bundle, and from this machine (Debian or Ubuntu, of the
 * architecture of the instances) node, runc, the CNI plugins and what else a sandbox needs, with their libraries. It is
 * built by the platform itself from a Dockerfile with nothing but COPY. Without the bundle it is a base, over which each
 * deployment of the platform makes its own worker:
 *   npm run worker-image -- [--base] URL TOKEN
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { withContext } from '../lib/cli/send-context.js';
import { WharfClient } from '../lib/client/index.js';
import { WORKER_LINES, workerFiles } from '../lib/constructs/build-worker-context.js';
import { systemClock } from '../lib/store/system/clock-system.js';

export const WORKER_IMAGE = 'build-worker:1';
export const WORKER_BASE_IMAGE = 'build-worker-base:1';

/** What lib/runtime, lib/layers and lib/build call, and a shell for the scripts among it. */
export const PROGRAMS: readonly string[] = [
  ...[
    'sh',
    'mount',
    'umount',
    'mountpoint',
    'nsenter',
    'cp',
    'rm',
    'cat',
    'tar',
    'flock',
    'runc',
    'ip',
    'dpkg-query',
    'gzip',
  ],
  ...['iptables', 'iptables-save', 'iptables-restore', 'ip6tables', 'ip6tables-save'],
];
const PLUGINS = ['bridge', 'portmap', 'firewall', 'host-local', 'loopback'];
const PLUGIN_FOLDERS = ['/usr/lib/cni', '/opt/cni/bin'];
const FOLDERS = [
  `/usr/lib/${gnuArchitecture()}/xtables`,
  '/usr/share/doc/runc',
  '/etc/ssl/certs',
  '/usr/share/ca-certificates',
];
const BASE_LINES = [
  'FROM scratch',
  'COPY root/ /',
  'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
];

/** A context for the image in a folder of its own, which the caller removes. */
export function workerContext(): string {
  const folder = workerBaseContext();
  for (const [path, text] of Object.entries(workerFiles())) writeFileSync(join(folder, path), text);
  writeFileSync(join(folder, 'Dockerfile'), [...BASE_LINES, ...WORKER_LINES, ''].join('\n'));
  return folder;
}

/** The same without the bundle. */
export function workerBaseContext(): string {
  const folder = mkdtempSync(join(tmpdir(), 'wharf-worker-'));
  const root = join(folder, 'root');
  writeFileSync(join(folder, 'Dockerfile'), [...BASE_LINES, ''].join('\n'));
  for (const each of ['bin', 'sbin', 'lib', 'lib64']) {
    // Debian's roots are merged: /bin is /usr/bin.
    mkdirSync(join(root, 'usr', each), { recursive: true });
    symlinkSync(`usr/${each}`, join(root, each));
  }
  for (const each of ['etc', 'proc', 'sys', 'dev', 'run', 'root', 'var/lib/wharf']) {
    mkdirSync(join(root, each), { recursive: true });
  }
  mkdirSync(join(root, 'tmp'));
  chmodSync(join(root, 'tmp'), 0o1777);
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\n');
  writeFileSync(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n');
  for (const path of FOLDERS.filter((each) => existsSync(each))) copyFolder(path, root);
  copyProgram(realpathSync(process.execPath), root, '/usr/bin/node');
  for (const name of PROGRAMS) copyProgram(pathOf(name), root);
  // How a runc of Debian's, which carries fixes without a new version, is told from one that lets containers out.
  mkdirSync(join(root, 'var/lib/dpkg'), { recursive: true });
  writeFileSync(join(root, 'var/lib/dpkg/status'), execFileSync('dpkg-query', ['-s', 'runc']));
  const plugins = PLUGIN_FOLDERS.find((each) => existsSync(join(each, 'bridge'))) ?? '';
  for (const name of PLUGINS) copyProgram(join(plugins, name), root);
  return folder;
}

function pathOf(name: string): string {
  const path = execFileSync('sh', ['-c', `PATH=/usr/sbin:/usr/bin:/sbin:/bin command -v ${name}`], {
    encoding: 'utf8',
  });
  return path.trim();
}

/** A file under its own name with what it links to on the way, and the libraries it is linked with. */
function copyProgram(path: string, root: string, as = path): void {
  const real = realpathSync(path);
  copyFile(real, root, as);
  for (const library of librariesOf(real)) copyFile(realpathSync(library), root, library);
}

function copyFile(from: string, root: string, as: string): void {
  const to = join(root, as.replace(/^\/(s?bin|lib|lib64)\//, '/usr/$1/'));
  mkdirSync(dirname(to), { recursive: true });
  if (!existsSync(to)) cpSync(from, to, { dereference: true });
}

function copyFolder(path: string, root: string): void {
  cpSync(path, join(root, path), { recursive: true, verbatimSymlinks: true });
  for (const file of execFileSync('find', [path, '-type', 'f', '-perm', '-u+x'], { encoding: 'utf8' }).split('\n')) {
    if (file === '' || lstatSync(file).isSymbolicLink()) continue;
    for (const library of librariesOf(file)) copyFile(realpathSync(library), root, library);
  }
}

/** Static programs and scripts have none. */
function librariesOf(path: string): readonly string[] {
  try {
    const text = execFileSync('ldd', [path], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return [...text.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, library = '']) => library);
  } catch {
    return [];
  }
}

function gnuArchitecture(): string {
  return process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
}

/** Builds it there and waits for the end. @throws Error when the build fails */
export async function buildWorkerImage(wharf: WharfClient, isBase = false): Promise<string> {
  const folder = isBase ? workerBaseContext() : workerContext();
  const [name, tag] = isBase ? ['build-worker-base', WORKER_BASE_IMAGE] : ['build-worker', WORKER_IMAGE];
  try {
    const deps = { client: wharf, cwd: folder, env: {}, clock: systemClock };
    const { id } = await withContext(deps, { folder, name }, (context, dockerfile) =>
      wharf.builds.fromContext({ context, dockerfile, tags: [tag] }),
    );
    for await (const { event } of wharf.builds.follow(id)) {
      if (event.type !== 'finished') continue;
      if (event.result !== undefined) return `${tag}@${event.result.digest}`;
      throw new Error(`the build ${event.status}: ${event.error?.message ?? ''}`);
    }
    throw new Error('the build log ended before the build');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const given = process.argv.slice(2);
  const [url, token, ...more] = given.filter((each) => each !== '--base');
  if (url === undefined || token === undefined || more.length > 0) {
    console.error('worker-image: npm run worker-image -- [--base] URL TOKEN');
    process.exit(2);
  }
  console.log(await buildWorkerImage(new WharfClient({ url, token }), given.includes('--base')));
}
