/**
 * The peer: Debian's docker engine with its classic builder, started here with its own folders, socket, network and
 * mount namespace, and ended with everything it left. It dies with the process that started it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { BaseImageFile } from './base-images.js';
import { DockerNetwork } from './docker-network.js';
import { EXPLAINED } from './explained.js';
import { must, run } from './host-commands.js';
import type { BuiltImage, BuildInput } from './image-files.js';
import { readSavedImage } from './image-files.js';
import type { Peer } from './peer.js';

const CLIENT = '/usr/bin/docker';
const LONGEST_START_MS = 60_000;

export class DockerEngine implements Peer {
  readonly name = 'docker';
  readonly buildsAll = false;
  readonly parallelism = 2;
  readonly explained = EXPLAINED;

  private constructor(
    private readonly folder: string,
    private readonly daemon: ChildProcess,
    private readonly network: DockerNetwork,
    private readonly cgroup: string,
  ) {}

  static async start(): Promise<DockerEngine> {
    const folder = await mkdtemp(join(tmpdir(), 'wharf-docker-'));
    const cgroup = `/wharf-differential-${process.pid}`;
    const engine = [
      '/usr/sbin/dockerd --bridge=none --iptables=false --ip-forward=false --ip-masq=false --storage-driver=overlay2',
      `--data-root=${folder}/data --exec-root=${folder}/exec --pidfile=${folder}/pid --host=unix://${folder}/docker.sock`,
      `--cgroup-parent=${cgroup} --config-file=${folder}/daemon.json`,
    ].join(' ');
    await mkdir(join(folder, 'client'));
    // The shell waits for its network, then becomes the engine: the process id stays the same.
    const daemon = spawn(
      'setpriv',
      [
        ...['--pdeathsig', 'TERM', 'unshare', '--net', '--mount', '--propagation', 'slave'],
        ...['sh', '-c', `read -r _ && echo '{}' > ${folder}/daemon.json && exec ${engine}`],
      ],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    );
    const log = createWriteStream(join(folder, 'log'));
    daemon.stdout?.pipe(log, { end: false });
    daemon.stderr?.pipe(log, { end: false });
    await once(daemon, 'spawn');
    const { pid } = daemon;
    if (pid === undefined) throw new Error('the docker engine has no process');
    await inOwnNamespace(pid);
    const network = await DockerNetwork.join(pid);
    daemon.stdin?.end('go\n');
    const started = new DockerEngine(folder, daemon, network, cgroup);
    await started.ready();
    return started;
  }

  async load(image: BaseImageFile): Promise<void> {
    await this.docker('load', '--quiet', '--input', image.dockerArchive);
  }

  /** @throws Error with the end of the build's output when it fails */
  async build(input: BuildInput, folder: string): Promise<BuiltImage> {
    const tag = `case-${input.name}`.toLowerCase();
    const args = Object.entries(input.args).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]);
    const labels = Object.entries(input.labels).flatMap(([name, value]) => ['--label', `${name}=${value}`]);
    const target = input.target === undefined ? [] : ['--target', input.target];
    const file = ['--file', join(input.context, input.dockerfile)];
    const { cgroup } = this;
    await this.docker(
      ...['build', '--network=host', '--no-cache', `--cgroup-parent=${cgroup}`, '--force-rm', '--tag', tag],
      ...[...args, ...labels, ...target, ...file, input.context],
    );
    await mkdir(folder, { recursive: true });
    await this.docker('save', '--output', join(folder, 'saved.tar'), tag);
    await this.docker('rmi', '--force', tag);
    return readSavedImage(folder);
  }

  async close(): Promise<void> {
    const { daemon } = this;
    const ended = once(daemon, 'exit');
    if (daemon.exitCode === null && daemon.kill('SIGTERM')) await ended;
    await this.network.close();
    await removeCgroups(this.cgroup);
    await rm(this.folder, { recursive: true, force: true });
  }

  private async docker(...args: readonly string[]): Promise<string> {
    // The builder before BuildKit; its output language and settings are nobody's but ours.
    const env = {
      PATH: process.env['PATH'] ?? '/usr/bin',
      DOCKER_BUILDKIT: '0',
      DOCKER_CONFIG: join(this.folder, 'client'),
      DOCKER_HOST: `unix://${this.folder}/docker.sock`,
    };
    const { exitCode, stdout, stderr } = await run(CLIENT, args, { env });
    if (exitCode === 0) return stdout;
    const said = `${stdout}\n${stderr}`.trim().split('\n').slice(-12).join('\n');
    throw new Error(`docker ${args[0]} failed:\n${said}`);
  }

  private async ready(): Promise<void> {
    const end = Date.now() + LONGEST_START_MS;
    for (;;) {
      const answer = await this.docker('version', '--format', '{{.Server.Version}}').catch(() => undefined);
      if (answer !== undefined) return;
      if (this.daemon.exitCode !== null || Date.now() > end) {
        const said = await readFile(join(this.folder, 'log'), 'utf8');
        await this.close();
        throw new Error(`dockerd did not start:\n${said.split('\n').slice(-15).join('\n')}`);
      }
      await delay(100);
    }
  }
}

/** The namespace is there when it is not ours any more. */
async function inOwnNamespace(pid: number): Promise<void> {
  const namespaceOf = async (process: string): Promise<string> => must('readlink', [`/proc/${process}/ns/net`]);
  const ours = await namespaceOf(String(process.pid));
  while ((await namespaceOf(String(pid))) === ours) await delay(10);
}

async function removeCgroups(name: string): Promise<void> {
  await run('sh', ['-c', `find /sys/fs/cgroup -depth -type d -path '*${name}*' -exec rmdir {} + 2>/dev/null`]);
}
