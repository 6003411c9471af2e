/** Builders whose RUN makes real containers, in a folder and a scope of their own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import type { RemoteSourcesOptions } from '../../lib/build/index.js';
import { OverlaySandbox, type OverlaySandboxOptions } from '../../lib/build/sandbox/sandbox-overlay.js';
import { UnpackedLayers } from '../../lib/layers/index.js';
import { BridgeNetwork, hostResidue, type HostScope, openHostScope, Runc, sweepHost } from '../../lib/runtime/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { buildFixture, type BuildFixture, busyboxFiles } from './fixture.js';

export const SMALL_MEMORY: OverlaySandboxOptions = { limits: { memoryBytes: 64 * 1024 * 1024 } };

interface BuilderOptions {
  readonly sandbox?: OverlaySandboxOptions;
  readonly runTimeoutMs?: number;
  /** RUN has a network of its own; none when absent. */
  readonly hasNetwork?: boolean;
  readonly fetching?: RemoteSourcesOptions;
}

export class BuilderHost {
  private readonly builders: BuildFixture[] = [];

  private constructor(
    /** A temporary folder; the scope's is in it. */
    readonly directory: string,
    readonly scope: HostScope,
  ) {}

  static async open(): Promise<BuilderHost> {
    const directory = await mkdtemp(join(tmpdir(), 'wharf-build-'));
    return new BuilderHost(directory, await openHostScope(join(directory, 'runtime')));
  }

  /** With a store of its own, in which there is `busybox`. */
  async builder({ sandbox, runTimeoutMs, hasNetwork = false, fetching }: BuilderOptions = {}): Promise<BuildFixture> {
    const { scope } = this;
    const builder = await buildFixture({
      ...(runTimeoutMs === undefined ? {} : { runTimeoutMs }),
      ...(fetching === undefined ? {} : { fetching }),
      sandbox: async ({ content }) => {
        const runc = await Runc.open({ scope, clock: systemClock });
        const folder = join(scope.directory, `layers-${this.builders.length}`);
        const layers = await UnpackedLayers.open({ content }, folder);
        const network = hasNetwork ? { network: await BridgeNetwork.open(scope) } : {};
        return OverlaySandbox.open({ scope, runc, layers, ...network }, sandbox);
      },
    });
    this.builders.push(builder);
    await builder.push('busybox', await busyboxFiles());
    return builder;
  }

  /** Leaves nothing, and says so when the builders had. */
  async close(): Promise<void> {
    for (const builder of this.builders) await builder.close();
    const { scope } = this;
    await sweepHost({ scope, clock: systemClock }, new Set());
    expect(await hostResidue(scope)).toEqual([]);
    await rm(this.directory, { recursive: true, force: true });
  }
}
