/**
 * Calls the plugins of the Container Network Interface (CNI specification 0.4.0): a chain is added in order, each plugin
 * given the result of the one before, and deleted in reverse. The plugins edit the host's iptables and are not safe
 * against one another, so every call on this host takes one lock.
 */
import { access, constants, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AppError } from '../../errors/index.js';
import { HOST_PATH, runCommand } from '../host/host-command.js';
import { LOCK_SECONDS, NETWORK_LOCK } from './network-lock.js';

/** Where distributions and the upstream archive put the plugins. */
export const PLUGIN_FOLDERS = ['/usr/lib/cni', '/opt/cni/bin', '/usr/libexec/cni'];
/** Those that are used. */
export const PLUGINS = ['portmap'];

/** As the specification has it: what was made so far. */
export type CniResult = Readonly<Record<string, unknown>>;

export interface CniPlugin {
  readonly type: string;
  readonly [key: string]: unknown;
}

export interface CniAttachment {
  readonly containerId: string;
  /** Path of the namespace; empty once it is gone, which DEL must bear. */
  readonly netns: string;
  readonly interfaceName: string;
}

/** The folder that holds all of these plugins; undefined when there is none. */
export async function findPluginFolder(
  plugins: readonly string[],
  folders: readonly string[] = PLUGIN_FOLDERS,
): Promise<string | undefined> {
  for (const folder of folders) {
    const found = await Promise.all(plugins.map((name) => isExecutable(join(folder, name))));
    if (found.every(Boolean)) return folder;
  }
  return undefined;
}

export class CniChain {
  constructor(
    private readonly folder: string,
    private readonly networkName: string,
    private readonly plugins: readonly CniPlugin[],
  ) {}

  /**
   * @param made what was there before the first plugin
   * @throws AppError NETWORK_ATTACH_FAILED with the plugin's own words; call `delete` then, what was added stays.
   */
  async add(attachment: CniAttachment, made: CniResult): Promise<CniResult> {
    let result = made;
    for (const plugin of this.plugins) result = await this.call('ADD', plugin, attachment, result);
    return result;
  }

  /** Undoes what is there; every plugin is called even when one before it failed. Fine when nothing is there. */
  async delete(attachment: CniAttachment, previous: CniResult | undefined): Promise<void> {
    const failures: unknown[] = [];
    for (const plugin of [...this.plugins].reverse()) {
      await this.call('DEL', plugin, attachment, previous).catch((error: unknown) => failures.push(error));
    }
    if (failures[0] !== undefined) throw failures[0];
  }

  private async call(
    command: 'ADD' | 'DEL',
    plugin: CniPlugin,
    attachment: CniAttachment,
    previous: CniResult | undefined,
  ): Promise<CniResult> {
    const config = {
      cniVersion: '0.4.0',
      name: this.networkName,
      ...plugin,
      ...(previous === undefined ? {} : { prevResult: previous }),
    };
    await mkdir(dirname(NETWORK_LOCK), { recursive: true });
    const result = await runCommand('flock', ['-w', LOCK_SECONDS, NETWORK_LOCK, join(this.folder, plugin.type)], {
      input: JSON.stringify(config),
      timeoutMs: 120_000,
      env: {
        PATH: HOST_PATH,
        CNI_COMMAND: command,
        CNI_CONTAINERID: attachment.containerId,
        CNI_NETNS: attachment.netns,
        CNI_IFNAME: attachment.interfaceName,
        CNI_PATH: this.folder,
      },
    });
    if (result.exitCode === 0) return parseResult(result.stdout) ?? {};
    const said = parseResult(result.stdout);
    const words = [said?.['msg'], said?.['details'], result.stderr.trim()].filter(
      (part) => typeof part === 'string' && part !== '',
    );
    throw new AppError(
      'NETWORK_ATTACH_FAILED',
      `network plugin ${plugin.type} ${command}: ${words.join(': ') || `exit ${result.exitCode}`}`,
      { kind: 'failed', details: { plugin: plugin.type, command, containerId: attachment.containerId } },
    );
  }
}

function parseResult(text: string): CniResult | undefined {
  try {
    return JSON.parse(text) as CniResult;
  } catch {
    return undefined;
  }
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
