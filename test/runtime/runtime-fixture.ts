/** A scope of its own with a busybox layer, for tests that run real containers. `close` leaves nothing behind. */
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ContainerSpec,
  hostResidue,
  type HostScope,
  mountOverlay,
  openHostScope,
  sweepHost,
} from '../../lib/runtime/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';

const APPLETS =
  'sh ls cat id env sleep echo dd grep httpd nc ip mount touch rm test printf hostname true kill wget tail';

export interface RuntimeFixture {
  readonly scope: HostScope;
  readonly clock: typeof systemClock;
  readonly directory: string;
  /** Mounts a root of its own for a container and gives its spec; `sh -c script` is the process. */
  container(id: string, script: string, more?: Partial<ContainerSpec>): Promise<ContainerSpec>;
  close(): Promise<void>;
}

export async function runtimeFixture(): Promise<RuntimeFixture> {
  const directory = await mkdtemp(join(tmpdir(), 'wharf-runtime-'));
  const scope = await openHostScope(join(directory, 'runtime'));
  const layer = join(scope.directory, 'layers', 'a');
  await makeBusyboxRoot(layer);
  return {
    scope,
    clock: systemClock,
    directory,
    async container(id, script, more = {}) {
      await mountOverlay({
        directory: scope.directory,
        lowers: ['layers/a'],
        upper: `roots/${id}/upper`,
        work: `roots/${id}/work`,
        target: `roots/${id}/rootfs`,
      });
      return {
        id,
        rootfs: join(scope.directory, 'roots', id, 'rootfs'),
        process: { args: ['/bin/sh', '-c', script], env: [], cwd: '/', user: '' },
        hostname: id,
        mounts: [],
        network: { mode: 'none' },
        limits: {},
        ...more,
      };
    },
    async close() {
      let residue: readonly string[];
      try {
        await sweepHost({ scope, clock: systemClock }, new Set());
        residue = await hostResidue(scope);
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
      if (residue.length > 0) throw new Error(`left on the host: ${residue.join('; ')}`);
    },
  };
}

export async function makeBusyboxRoot(root: string): Promise<void> {
  for (const folder of ['bin', 'etc', 'tmp', 'www']) await mkdir(join(root, folder), { recursive: true });
  await copyFile('/bin/busybox', join(root, 'bin', 'busybox'));
  for (const applet of APPLETS.split(' ')) await symlink('busybox', join(root, 'bin', applet));
  await writeFile(join(root, 'etc', 'passwd'), 'root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n');
  await writeFile(join(root, 'etc', 'group'), 'root:x:0:\napp:x:1000:\naudio:x:29:app\n');
  await writeFile(join(root, 'www', 'index.html'), 'hello from inside\n');
}
