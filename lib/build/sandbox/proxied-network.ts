/** Networks in which there is nothing but a proxy on loopback, for RUN steps whose fetches are to be seen. */
import type { Server } from 'node:net';
import {
  type HostScope,
  listenInNamespace,
  makeClosedNetwork,
  type NetworkMode,
  removeClosedNetwork,
} from '../../runtime/index.js';
import type { SandboxProxy } from './sandbox.js';

export interface ProxiedNetwork {
  readonly mode: NetworkMode;
  /** Variables by which a command finds its way out. */
  readonly env: Readonly<Record<string, string>>;
}

export class ProxiedNetworks {
  private readonly listeners = new Map<string, Server>();

  constructor(private readonly scope: HostScope) {}

  async open(id: string, proxy: SandboxProxy): Promise<ProxiedNetwork> {
    const path = await makeClosedNetwork(this.scope, id);
    const { server, port } = await listenInNamespace(path);
    this.listeners.set(id, server);
    server.on('connection', (socket) => proxy.accept(socket));
    return { mode: { mode: 'namespace', path }, env: proxyEnv(port) };
  }

  /** Fine when there is none. */
  async close(id: string): Promise<void> {
    this.listeners.get(id)?.close();
    this.listeners.delete(id);
    await removeClosedNetwork(this.scope, id);
  }
}

/** Under the names that programs look for; what a command serves to itself needs no proxy. */
function proxyEnv(port: number): Readonly<Record<string, string>> {
  const proxy = `http://127.0.0.1:${port}`;
  const direct = '127.0.0.1,localhost,::1';
  return {
    HTTP_PROXY: proxy,
    HTTPS_PROXY: proxy,
    http_proxy: proxy,
    https_proxy: proxy,
    NO_PROXY: direct,
    no_proxy: direct,
  };
}
