/**
 * The registry of the CNCF (Debian's docker-registry) on loopback: open, with one user, or with a token service. It can be
 * killed and come back.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CncfTokens, startCncfTokens } from './cncf-tokens.js';
import { freePort } from '../../free-port.js';

export interface CncfRegistry {
  readonly host: string;
  readonly url: string;
  /** SIGKILL; it is gone when this resolves. */
  kill(): Promise<void>;
  /** At the same address, over what it had. */
  start(): Promise<void>;
  /** Kills it and removes its folder. */
  close(): Promise<void>;
}

export interface CncfUser {
  readonly username: string;
  readonly password: string;
}

/** @param user asked for by Basic when given, with a password file of htpasswd's making */
export async function startCncfRegistry(user?: CncfUser): Promise<CncfRegistry> {
  const folder = await mkdtemp(join(tmpdir(), 'wharf-cncf-'));
  if (user === undefined) return startIn(folder, '');
  const line = execFileSync('htpasswd', ['-nbB', '-C', '4', user.username, user.password], { encoding: 'utf8' });
  await writeFile(join(folder, 'htpasswd'), line);
  return startIn(folder, `auth: {htpasswd: {realm: test, path: ${folder}/htpasswd}}\n`);
}

/** The same behind a token service. */
export async function startCncfRegistryWithTokens(user: CncfUser): Promise<CncfRegistry & { tokens: CncfTokens }> {
  const folder = await mkdtemp(join(tmpdir(), 'wharf-cncf-'));
  const tokens = await startCncfTokens(folder, user);
  const registry = await startIn(folder, tokens.config);
  return {
    ...registry,
    tokens,
    async close() {
      await tokens.close();
      await registry.close();
    },
  };
}

async function startIn(folder: string, auth: string): Promise<CncfRegistry> {
  const host = `127.0.0.1:${await freePort()}`;
  const storage = `storage: {filesystem: {rootdirectory: ${folder}/data}, delete: {enabled: true}}\n`;
  const config = `version: 0.1\nlog: {level: error}\n${storage}http: {addr: "${host}"}\n${auth}`;
  await writeFile(join(folder, 'config.yml'), config);
  let child: ChildProcess | undefined;
  const registry: CncfRegistry = {
    host,
    url: `http://${host}`,
    async kill() {
      if (child === undefined) return;
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      child = undefined;
      await exited;
    },
    async start() {
      child = spawn('docker-registry', ['serve', join(folder, 'config.yml')], { stdio: 'ignore' });
      await answering(host);
    },
    async close() {
      await registry.kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
  await registry.start();
  return registry;
}

async function answering(host: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    const answers = await fetch(`http://${host}/v2/`).then(
      () => true,
      () => false,
    );
    if (answers) return;
    if (tries === 400) throw new Error(`${host} does not answer`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
