/** `buildah build --layers` (chroot isolation: no network set-up of its own) and `buildah push` to CNCF distribution. */
import { DISTRIBUTION, DistributionServer } from '../peers/distribution.js';
import { timed } from '../process.js';
import type { Builder, BuilderKind } from './builder.js';
import { copyIn, pullOut } from './registry-copy.js';

export const buildahBuilder: BuilderKind = {
  name: 'buildah + push',
  needs: { buildah: 'buildah', [DISTRIBUTION]: DISTRIBUTION, skopeo: 'skopeo' },
  async start(session): Promise<Builder> {
    const folder = await session.directory('buildah');
    const registry = await DistributionServer.create(session);
    await registry.start();
    const host = `127.0.0.1:${registry.port}`;
    const storage = ['--root', `${folder}/root`, '--runroot', `${folder}/run`, '--storage-driver', 'overlay'];
    const buildah = (...args: readonly string[]): ReturnType<typeof timed> =>
      timed(['buildah', ...storage, ...args], { env: { TMPDIR: folder } });
    const unmount = (): Promise<unknown> => timed(['sh', '-c', `umount ${folder}/root/overlay 2>/dev/null; true`]);
    session.defer(unmount);
    return {
      name: 'buildah + push',
      async stop() {
        await registry.stop();
        await unmount();
      },
      async addBase(layout, name) {
        const image = `${host}/${name}:1`;
        await copyIn(layout, image);
        await buildah('pull', '--quiet', '--tls-verify=false', image);
        return image;
      },
      async build({ context, name, args = {} }) {
        const given = Object.entries(args).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]);
        const image = `${host}/${name}:1`;
        const options = ['--layers', '--isolation', 'chroot', '--tls-verify=false', '--tag', image];
        const built = await buildah('bud', ...options, ...given, context);
        const pushed = await buildah('push', '--quiet', '--tls-verify=false', image);
        return { seconds: built.seconds + pushed.seconds, peakBytes: Math.max(built.peakBytes, pushed.peakBytes) };
      },
      check: (name) => pullOut(session, `${host}/${name}:1`),
    };
  },
};
