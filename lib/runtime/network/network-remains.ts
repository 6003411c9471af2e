/**
 * What a platform's network leaves on the host, and how all of it is taken away: also by somebody who only has the scope,
 * and where the plugins that made it are gone.
 */
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../host/host-command.js';
import { bridgeName, netnsName, networkName, scopePaths } from '../host/host-scope.js';
import { removeNow } from '../host/files-now.js';
import { removeRules, type RuleOwner } from './packet-rules.js';
import { releaseSubnet, type Subnet } from './subnet.js';
import type { HostScope } from '../types.js';

/** What a platform's network is known by on the host. */
export async function ruleOwner(scope: HostScope): Promise<RuleOwner> {
  const subnet = await readKeptSubnet(scope);
  return {
    networkName: networkName(scope),
    bridge: bridgeName(scope),
    ...(subnet === undefined ? {} : { cidr: subnet.cidr }),
  };
}

/** Namespaces of this scope, by container id. */
export async function scopeNamespaces(scope: HostScope): Promise<readonly string[]> {
  const prefix = `wharf-${scope.id}-`;
  const names = await readdir('/run/netns').catch(() => [] as string[]);
  return names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
}

/** Takes away bridge, rules, claim and records without asking the plugins: works also where they are gone. */
export async function removeNetwork(scope: HostScope, subnet?: Subnet): Promise<void> {
  const known = subnet ?? (await readKeptSubnet(scope));
  for (const id of await scopeNamespaces(scope)) await runCommand('ip', ['netns', 'delete', netnsName(scope, id)]);
  await runCommand('ip', ['link', 'delete', bridgeName(scope)]);
  await removeRules(await ruleOwner(scope));
  if (known !== undefined) await releaseSubnet(scope, known);
  removeNow(scopePaths.attachments(scope));
  await rm(scopePaths.network(scope), { recursive: true, force: true });
}

/** The subnet that the platform had before. */
export async function readKeptSubnet(scope: HostScope): Promise<Subnet | undefined> {
  const text = await readFile(subnetFile(scope), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as Subnet);
}

export async function keepSubnet(scope: HostScope, subnet: Subnet): Promise<void> {
  const file = subnetFile(scope);
  await writeFile(`${file}.tmp`, JSON.stringify(subnet), { flush: true });
  await rename(`${file}.tmp`, file);
}

function subnetFile(scope: HostScope): string {
  return join(scopePaths.network(scope), 'subnet.json');
}
