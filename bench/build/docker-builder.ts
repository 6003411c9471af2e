/**
 * `docker build` with the classic builder and `docker push` to CNCF distribution. dockerd runs with folders, network
 * and mount namespace of its own; the registry shares its network namespace, where it is on loopback.
 */
import { DockerNetwork } from '../../test/differential/docker-network.js';
import { DISTRIBUTION, DistributionServer } from '../peers/distribution.js';
import { DOCKER_NEEDS, startDockerd } from '../peers/dockerd.js';
import { timed } from '../process.js';
import type { Builder, BuilderKind } from './builder.js';
import { copyIn, pullOut } from './registry-copy.js';

const PORT = 5000;

export const dockerBuilder: BuilderKind = {
  name: 'docker + push',
  needs: { ...DOCKER_NEEDS, [DISTRIBUTION]: DISTRIBUTION, skopeo: 'skopeo' },
  async start(session, network): Promise<Builder> {
    const daemon = await startDockerd(session, ['--bridge=none --iptables=false --ip-forward=false --ip-masq=false']);
    const { docker, cgroup } = daemon;
    const outside = network ? await DockerNetwork.join(daemon.pid) : undefined;
    const prefix = ['nsenter', '-t', String(daemon.pid), '-n'];
    const registry = await DistributionServer.create(session, { port: PORT, prefix });
    await registry.start(false);
    const host = `127.0.0.1:${PORT}`;
    const ask = [...prefix, 'busybox', 'wget', '-q', '-O', '-', `http://${host}/v2/`];
    await registry.server.ready(async () => (await timed(ask)).stdout !== '', 50);
    return {
      name: 'docker + push',
      async stop() {
        await registry.stop();
        await daemon.stop();
        await outside?.close();
      },
      async addBase(layout, name) {
        const image = `${host}/${name}:1`;
        await copyIn(layout, image, { prefix });
        await docker('pull', '--quiet', image);
        return image;
      },
      async build({ context, name, args = {} }) {
        const given = Object.entries(args).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]);
        const image = `${host}/${name}:1`;
        const options = ['--network=host', `--cgroup-parent=${cgroup}`, '--tag', image];
        const built = await docker('build', ...options, ...given, context);
        const pushed = await docker('push', '--quiet', image);
        const client = Math.max(built.peakBytes, pushed.peakBytes);
        return { seconds: built.seconds + pushed.seconds, peakBytes: daemon.peakBytes() + client };
      },
      check: (name) => pullOut(session, `${host}/${name}:1`, { prefix }),
    };
  },
};
