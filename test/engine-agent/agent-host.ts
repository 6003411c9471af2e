/** Everything an agent stands on, opened in a folder: for the tests, and for the child processes they kill. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Agent,
  type AgentEvent,
  type AgentOptions,
  createAgent,
  type LogRetention,
  type ObjectSource,
  type SecretSource,
  type TaskCredentialsSource,
  type TaskPayload,
} from '../../lib/engine/agent/index.js';
import { type LayerEntry, type TarMember, UnpackedLayers, writeLayer } from '../../lib/layers/index.js';
import { type ContainerConfig, digestOf, MediaType, platformOfArch } from '../../lib/oci/index.js';
import { Registry } from '../../lib/registry/index.js';
import {
  BridgeNetwork,
  type HostScope,
  type OciRuntime,
  openHostScope,
  SupervisedContainers,
} from '../../lib/runtime/index.js';
import { openFsBlobs } from '../../lib/store/folder/blob-store-fs.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { systemIds } from '../../lib/store/system/ids-system.js';
import { ContentStore, type SecretStore, silentLogger } from '../../lib/store/index.js';
import { openLmdbRecords } from '../../lib/store/folder/record-store-lmdb.js';

export interface AgentHost {
  readonly scope: HostScope;
  readonly content: ContentStore;
  readonly images: Registry;
  readonly containers: SupervisedContainers;
  readonly network: BridgeNetwork;
  readonly agent: Agent;
  readonly events: readonly AgentEvent[];
  /** Resolves with the first event, seen or still to come, that the predicate holds for. */
  event<T extends AgentEvent>(predicate: (event: AgentEvent) => event is T): Promise<T>;
  close(): Promise<void>;
}

const noSecrets: SecretStore = {
  get: async () => undefined,
  put: async () => undefined,
  delete: async () => undefined,
  list: async () => [],
};

export interface AgentHostOptions extends Partial<AgentOptions> {
  readonly ociRuntime?: OciRuntime;
  readonly secrets?: SecretSource;
  readonly credentials?: TaskCredentialsSource;
  readonly objects?: ObjectSource;
  readonly logRetention?: LogRetention;
  /** Where the CNI plugins are. */
  readonly pluginFolders?: readonly string[];
}

export async function openAgentHost(
  directory: string,
  {
    ociRuntime = 'runc',
    secrets,
    credentials,
    objects,
    logRetention,
    pluginFolders,
    ...options
  }: AgentHostOptions = {},
): Promise<AgentHost> {
  await mkdir(directory, { recursive: true });
  const clock = systemClock;
  const records = await openLmdbRecords(join(directory, 'records'), { clock });
  const blobs = await openFsBlobs(join(directory, 'store'), { clock, ids: systemIds });
  const content = new ContentStore(blobs, records);
  const images = new Registry({ records, content, secrets: noSecrets, clock, ids: systemIds });
  const scope = await openHostScope(join(directory, 'runtime'));
  const layers = await UnpackedLayers.open({ content }, join(directory, 'layers'));
  const containers = new SupervisedContainers({ scope, clock }, { ociRuntime });
  const network = await BridgeNetwork.open(scope, pluginFolders);
  const agent = createAgent(
    {
      content,
      images,
      layers,
      scope,
      containers,
      network,
      clock,
      logger: silentLogger,
      ...(secrets === undefined ? {} : { secrets }),
      ...(objects === undefined ? {} : { objects }),
      ...(credentials === undefined ? {} : { credentials }),
      ...(logRetention === undefined ? {} : { logRetention }),
    },
    { platform: platformOfArch(process.arch), ...options },
  );
  const events: AgentEvent[] = [];
  const waiting = new Set<() => void>();
  agent.onEvent((event) => {
    events.push(event);
    for (const look of waiting) look();
  });
  return {
    scope,
    content,
    images,
    containers,
    network,
    agent,
    events,
    event<T extends AgentEvent>(predicate: (event: AgentEvent) => event is T): Promise<T> {
      return new Promise((resolve) => {
        const look = (): void => {
          const found = events.find(predicate);
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      });
    },
    async close() {
      await agent.close();
      containers.close();
      await records.close();
    },
  };
}

const APPLETS =
  'sh ls cat id env sleep echo dd grep httpd nc ip touch rm test printf hostname true false tail stat mkdir ln mount umount mknod unshare chroot kill ps wc stty tty ulimit df cp wget nslookup readlink seq head tr date dmesg sysctl reboot swapoff insmod losetup pivot_root setsid cut'.split(
    ' ',
  );
const PLAIN = { uid: 0, gid: 0, mtimeSeconds: 0, sizeBytes: 0 } as const;

/** @param programs of the host, by their absolute paths, put at the same places */
async function* busyboxMembers(
  programs: readonly string[],
  links: Readonly<Record<string, string>>,
): AsyncGenerator<TarMember> {
  const entry = (path: string, type: LayerEntry['type'], mode: number, more: Partial<LayerEntry> = {}): LayerEntry => ({
    path,
    type,
    mode,
    ...PLAIN,
    ...more,
  });
  async function* body(bytes: Uint8Array = Buffer.alloc(0)): AsyncGenerator<Uint8Array> {
    yield bytes;
  }
  const file = (path: string, bytes: Buffer, mode = 0o644): TarMember => ({
    entry: entry(path, 'file', mode, { sizeBytes: bytes.length }),
    body: body(bytes),
  });
  for (const folder of ['bin', 'etc', 'tmp', 'www']) {
    yield { entry: entry(folder, 'directory', 0o755), body: body() };
  }
  yield file('bin/busybox', await readFile('/bin/busybox'), 0o755);
  for (const applet of APPLETS) {
    yield { entry: entry(`bin/${applet}`, 'symlink', 0o777, { linkTarget: 'busybox' }), body: body() };
  }
  for (const [path, linkTarget] of Object.entries(links)) {
    yield { entry: entry(path, 'symlink', 0o777, { linkTarget }), body: body() };
  }
  const folders = new Set(programs.flatMap((path) => foldersOf(path)));
  for (const folder of [...folders].sort()) yield { entry: entry(folder, 'directory', 0o755), body: body() };
  for (const path of programs) yield file(path.slice(1), await readFile(path), 0o755);
  yield file('etc/passwd', Buffer.from('root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n'));
  yield file('www/index.html', Buffer.from('hello from a task\n'));
  yield { entry: entry('data', 'directory', 0o700, { uid: 1000, gid: 1000 }), body: body() };
  yield {
    ...file('data/seed', Buffer.from('from the image')),
    entry: entry('data/seed', 'file', 0o640, { uid: 1000, gid: 1000, sizeBytes: 14 }),
  };
}

/** `usr` and `usr/bin` of `/usr/bin/perl`; those that busybox has anyway are left out. */
function foldersOf(path: string): string[] {
  const parts = path.split('/').slice(1, -1);
  return parts.map((_, i) => parts.slice(0, i + 1).join('/')).filter((folder) => folder !== 'bin');
}

/** Pushes a busybox image with this config, and these programs of the host in it. */
export async function pushBusybox(
  host: Pick<AgentHost, 'content' | 'images'>,
  repository: string,
  config: ContainerConfig = {},
  programs: readonly string[] = [],
  links: Readonly<Record<string, string>> = {},
): Promise<void> {
  const layer = await writeLayer(busyboxMembers(programs, links), { content: host.content });
  const bytes = Buffer.from(
    JSON.stringify({
      ...platformOfArch(process.arch),
      config: { Env: ['PATH=/bin', 'FROM_IMAGE=yes'], ...config },
      rootfs: { type: 'layers', diff_ids: [layer.diffId] },
    }),
  );
  await host.content.putBytes(bytes);
  await host.images.linkBlob(repository, digestOf(bytes));
  await host.images.linkBlob(repository, layer.descriptor.digest);
  const manifest = {
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config: { mediaType: MediaType.ociConfig, digest: digestOf(bytes), size: bytes.length },
    layers: [layer.descriptor],
  };
  await host.images.putManifest(repository, Buffer.from(JSON.stringify(manifest)), MediaType.ociManifest, ['1']);
}

export const isContainer =
  (taskId: string, container: string, status: 'PENDING' | 'RUNNING' | 'STOPPED') =>
  (event: AgentEvent): event is Extract<AgentEvent, { type: 'container' }> =>
    event.taskId === taskId && event.type === 'container' && event.container === container && event.status === status;

export const isStopped =
  (taskId: string) =>
  (event: AgentEvent): event is Extract<AgentEvent, { type: 'task-stopped' }> =>
    event.taskId === taskId && event.type === 'task-stopped';

export type ContainerInput = Partial<TaskPayload['containers'][number]>;

export function payloadOf(
  containers: Readonly<Record<string, ContainerInput>>,
  more: Partial<TaskPayload> = {},
): TaskPayload {
  const taskId = systemIds.hex(16);
  return {
    taskId,
    taskArn: `arn:aws:ecs:local:000000000000:task/default/${taskId}`,
    clusterName: 'default',
    containerInstanceId: 'a'.repeat(32),
    family: 'test',
    revision: 1,
    networkMode: 'none',
    containers: Object.entries(containers).map(([name, input]) => ({
      name,
      image: 'busybox:1',
      essential: true,
      environment: [],
      portMappings: [],
      ...input,
    })),
    ...more,
  };
}

/** A container that runs this script. */
export const script = (text: string, more: ContainerInput = {}): ContainerInput => ({
  command: ['/bin/sh', '-c', text],
  ...more,
});
