/** Published ports of a container: the CNI plugin portmap sends what comes to a port of the host to one of its address. */
import { networkName, scopePaths } from '../host/host-scope.js';
import { type LinkedAddress, withPrefix } from './bridge-link.js';
import { type CniAttachment, CniChain, type CniResult } from './cni.js';
import { removePublished } from './packet-rules.js';
import type { Subnet } from './subnet.js';
import type { HostScope, PortMapping } from '../types.js';

export class PublishedPorts {
  constructor(
    private readonly scope: HostScope,
    private readonly subnet: Subnet,
    private readonly pluginFolder: string,
  ) {}

  /** @throws AppError NETWORK_ATTACH_FAILED */
  async publish(id: string, ports: readonly PortMapping[], link: LinkedAddress): Promise<void> {
    await this.portmap(ports).add(this.attachment(id), this.result(id, link));
  }

  /**
   * @param link undefined when it was not made to the end
   * @param isThere whether the container's namespace is
   */
  async withdraw(
    id: string,
    ports: readonly PortMapping[],
    link: LinkedAddress | undefined,
    isThere: boolean,
  ): Promise<void> {
    const attachment = isThere ? this.attachment(id) : { ...this.attachment(id), netns: '' };
    const withdrawn = this.portmap(ports).delete(attachment, link && this.result(id, link));
    // Nobody else may get the address while a port of the host leads to it.
    await withdrawn.catch(() => removePublished(networkName(this.scope), id));
  }

  private portmap(ports: readonly PortMapping[]): CniChain {
    const portMappings = ports.map(({ containerPort, hostPort, hostIp, protocol }) => ({
      containerPort,
      hostPort,
      protocol,
      ...(hostIp === '' || hostIp === '0.0.0.0' ? {} : { hostIP: hostIp }),
    }));
    const portmap = { type: 'portmap', snat: true, capabilities: { portMappings: true } };
    return new CniChain(this.pluginFolder, networkName(this.scope), [{ ...portmap, runtimeConfig: { portMappings } }]);
  }

  private attachment(id: string): CniAttachment {
    return { containerId: id, netns: scopePaths.netns(this.scope, id), interfaceName: 'eth0' };
  }

  /** What portmap is told of the link. */
  private result(id: string, { address, gateway, macAddress }: LinkedAddress): CniResult {
    return {
      cniVersion: '0.4.0',
      interfaces: [{ name: 'eth0', mac: macAddress, sandbox: scopePaths.netns(this.scope, id) }],
      ips: [{ version: '4', interface: 0, address: withPrefix(address, this.subnet), gateway }],
    };
  }
}
