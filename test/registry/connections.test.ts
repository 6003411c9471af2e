/** Clients of a registry that are opened again and again: one token for all, as long as the login is the same. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { RegistryConnections, type RegistryCredentials } from '../../lib/registry/client/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';

let server: Server;
let host: string;
/** What was asked of it: manifests, and tokens with what was shown for them. */
let seen: string[];
let login: RegistryCredentials | undefined;

beforeAll(async () => {
  server = createServer((request, response) => {
    const { url, headers } = request;
    const isToken = url?.startsWith('/token') === true;
    seen.push(isToken ? `a token for ${headers.authorization ?? 'anyone'}` : 'a manifest');
    if (isToken) response.end(JSON.stringify({ token: 'a-token', expires_in: 300 }));
    else if (headers.authorization === 'Bearer a-token') response.end('{}');
    else response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${host}/token"` }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const tokenFor = (password: string): string => `a token for Basic ${Buffer.from(`me:${password}`).toString('base64')}`;

test('a registry is asked for one token however often it is opened, until the login for it is another', async () => {
  const connections = new RegistryConnections({
    clock: systemClock,
    credentials: { credentialsFor: () => Promise.resolve(login) },
  });
  const asked = async (options: { readonly credentials?: RegistryCredentials } = {}): Promise<readonly string[]> => {
    seen = [];
    await (await connections.open(host, options)).getManifest('a/b', 'latest');
    return seen;
  };
  expect(await asked()).toEqual(['a manifest', 'a token for anyone', 'a manifest']);
  expect(await asked()).toEqual(['a manifest']);
  login = { username: 'me', password: 'one' };
  expect(await asked()).toEqual(['a manifest', tokenFor('one'), 'a manifest']);
  expect(await asked()).toEqual(['a manifest']);
  // What is tried is not let in by an earlier token, and changes nothing for others.
  expect(await asked({ credentials: login })).toEqual(['a manifest', tokenFor('one'), 'a manifest']);
  expect(await asked()).toEqual(['a manifest']);
  login = undefined;
  expect(await asked()).toEqual(['a manifest', 'a token for anyone', 'a manifest']);
});
