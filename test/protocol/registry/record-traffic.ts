/**
 * Records what docker, skopeo, podman and buildah send to a registry, for `mutation.test.ts`. To be run again when clients
 * change, as root, with a network of its own for the docker engine:
 *   unshare -n sh -c 'ip link set lo up && node --import tsx test/protocol/registry/record-traffic.ts'
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, request, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { writeLayout } from './oci-layout.js';
import { type RecordedRequest, TOKEN } from './recorded-traffic.js';
import { startTestRegistry } from './registry-server.js';
import { openEmbeddedStore } from './stores.js';

/** What fetch sets by itself, and what is secret. */
const LEFT_OUT = ['authorization', 'host', 'connection', 'content-length', 'transfer-encoding', 'expect'];

const execute = promisify(execFile);
const folder = await mkdtemp(join(tmpdir(), 'wharf-record-'));
const store = await openEmbeddedStore();
const registry = await startTestRegistry(store);
const recorded: (RecordedRequest & { readonly location: string | undefined })[] = [];

const recorder = createServer((incoming, outgoing) => {
  void (async () => {
    const body = await buffer(incoming);
    const { method = '', url = '', headers } = incoming;
    const { 'transfer-encoding': _, ...rest } = headers;
    const whole = { ...rest, 'content-length': String(body.length) };
    const forwarded = request(new URL(url, registry.url), { method, headers: whole, agent: false });
    forwarded.end(body);
    const [answer] = (await once(forwarded, 'response')) as [IncomingMessage];
    const bytes = await buffer(answer);
    outgoing.writeHead(answer.statusCode ?? 500, answer.headers).end(bytes);
    // The same comes again with credentials.
    if (answer.statusCode === 401) return;
    recorded.push({ ...sentBy(incoming, body), status: answer.statusCode ?? 0, location: answer.headers.location });
  })();
});
recorder.listen(0, '127.0.0.1');
await once(recorder, 'listening');
const host = `127.0.0.1:${(recorder.address() as AddressInfo).port}`;

function sentBy({ method = '', url = '', headers }: IncomingMessage, body: Buffer): Omit<RecordedRequest, 'status'> {
  // The answer that named this address, and what the client added to it.
  const from = recorded.findLastIndex(({ location }) => location !== undefined && url.startsWith(pathOf(location)));
  const named = recorded[from]?.location;
  const path = named === undefined ? url : `{${from}}${url.slice(pathOf(named).length)}`;
  const kept = Object.entries(headers).filter(([name]) => !LEFT_OUT.includes(name));
  const sent = { method, path, headers: Object.fromEntries(kept) as Record<string, string> };
  if (body.length === 0) return sent;
  const text = body.toString('latin1').replaceAll(registry.tokens.admin, TOKEN);
  return { ...sent, body: Buffer.from(text, 'latin1').toString('base64') };
}

function pathOf(location: string): string {
  const { pathname, search } = new URL(location, registry.url);
  return pathname + search;
}

async function run(command: string, ...args: readonly string[]): Promise<void> {
  const env = { ...process.env, REGISTRY_AUTH_FILE: join(folder, 'auth.json'), DOCKER_CONFIG: join(folder, 'docker') };
  await execute(command, args, { env });
}

const { admin } = registry.tokens;
const layout = await writeLayout(folder);
const at = (name: string): string => `docker://${host}/${name}`;
const source = ['--src-tls-verify=false', '--src-creds', `x:${admin}`];
const target = ['--dest-tls-verify=false', '--dest-creds', `x:${admin}`];
const plain = ['--tls-verify=false', '--creds', `x:${admin}`];

await run('skopeo', 'copy', ...target, layout.image, at('skopeo/app:one'));
await run('skopeo', 'inspect', ...plain, at('skopeo/app:one'));
await run('skopeo', 'copy', '--all', ...target, layout.index, at('skopeo/multi:both'));
await run('skopeo', 'copy', '--all', ...source, ...target, at('skopeo/multi:both'), at('skopeo/copy:both'));
await run('skopeo', 'copy', ...source, at('skopeo/app:one'), `oci:${join(folder, 'out')}:one`);
await run('skopeo', 'list-tags', ...plain, at('skopeo/app'));
await run('skopeo', 'delete', ...plain, at('skopeo/app:one'));

const own = ['root', 'runroot', 'tmpdir'].flatMap((name) => [`--${name}`, join(folder, 'podman', name)]);
const podman = (...args: readonly string[]): Promise<void> =>
  run('podman', ...own, '--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs', '--events-backend', 'none', ...args);
await run('skopeo', 'copy', ...target, layout.image, at('podman/app:one'));
await podman('login', '--tls-verify=false', '-u', 'x', '-p', admin, host);
await podman('pull', '-q', '--tls-verify=false', `${host}/podman/app:one`);
await podman('tag', `${host}/podman/app:one`, `${host}/podman/other:two`);
await podman('push', '-q', '--tls-verify=false', `${host}/podman/other:two`);

const buildah = (...args: readonly string[]): Promise<void> =>
  run(
    'buildah',
    '--root',
    join(folder, 'buildah'),
    '--runroot',
    join(folder, 'buildah-run'),
    '--storage-driver',
    'vfs',
    ...args,
  );
await buildah('from', '-q', '--name', 'work', '--tls-verify=false', '--creds', `x:${admin}`, at('podman/app:one'));
await buildah('copy', '-q', 'work', join(folder, 'layout', 'index.json'), '/more');
await buildah('commit', '-q', '--tls-verify=false', '--creds', `x:${admin}`, 'work', at('buildah/app:one'));
await buildah('rm', 'work');

const socket = `unix://${join(folder, 'docker.sock')}`;
const places = ['data-root', 'exec-root', 'pidfile'].map((name) => `--${name}=${join(folder, 'engine', name)}`);
const containers = [
  `--containerd-namespace=record-${process.pid}`,
  `--containerd-plugins-namespace=record-${process.pid}-p`,
];
const engine = spawn(
  'dockerd',
  [
    '--host',
    socket,
    ...places,
    ...containers,
    '--bridge=none',
    '--iptables=false',
    '--ip6tables=false',
    '--storage-driver=vfs',
  ],
  { stdio: 'ignore' },
);
const docker = (...args: readonly string[]): Promise<void> => run('docker', '-H', socket, ...args);
while (
  await docker('version').then(
    () => false,
    () => engine.exitCode === null,
  )
) {
  await delay(100);
}
await docker('login', '-u', 'x', '-p', admin, host);
await docker('pull', '-q', `${host}/podman/app:one`);
await docker('tag', `${host}/podman/app:one`, `${host}/docker/app:one`);
await docker('push', '-q', `${host}/docker/app:one`);
await execute('tar', ['-C', join(folder, 'files'), '-cf', join(folder, 'new.tar'), 'hello.txt']);
await docker('import', join(folder, 'new.tar'), `${host}/docker/new:one`);
await docker('push', '-q', `${host}/docker/new:one`);
engine.kill('SIGTERM');
await once(engine, 'exit');

const file = join(import.meta.dirname, 'recorded-traffic.json');
const requests = recorded.map((each) => ({ ...each, location: undefined }));
await writeFile(file, `${JSON.stringify(requests, null, 2)}\n`);
console.log(`${recorded.length} requests in ${file}`);
recorder.closeAllConnections();
recorder.close();
await registry.close();
await store.close();
await rm(folder, { recursive: true, force: true });
