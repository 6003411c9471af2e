/** Wharf: the CLI against a server of its own. Its registry is the server; there is no push. */
import { WHARF, WharfServer } from '../peers/wharf.js';
import { timed } from '../process.js';
import type { Builder, BuilderKind } from './builder.js';
import { copyIn, pullOut } from './registry-copy.js';

export const wharfBuilder: BuilderKind = {
  name: 'wharf',
  needs: {},
  async start(session): Promise<Builder> {
    const wharf = await WharfServer.create(session);
    await wharf.start();
    const { url, registry, token } = wharf.address;
    const credentials = `wharf:${token}`;
    return {
      name: 'wharf',
      stop: () => wharf.stop(),
      async addBase(layout, name) {
        await copyIn(layout, `${registry}/${name}:1`, { credentials });
        return `${name}:1`;
      },
      async build({ context, name, args = {} }) {
        const given = Object.entries(args).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]);
        const before = wharf.server.readBytes();
        const command = [process.execPath, WHARF, 'build', '-t', `${name}:1`, ...given, context];
        const { seconds } = await timed(command, { env: { WHARF_URL: url, WHARF_TOKEN: token } });
        return { seconds, peakBytes: wharf.server.peakBytes(), readBytes: wharf.server.readBytes() - before };
      },
      check: (name) => pullOut(session, `${registry}/${name}:1`, { credentials }),
    };
  },
};
