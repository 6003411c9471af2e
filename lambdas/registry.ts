/** The registry function: /v2/* and /token behind the HTTP API. */
import { readAwsConfig, STORE_SETTINGS } from '../lib/host/aws/config.js';
import { httpHandler } from '../lib/host/aws/http.js';
import { observed } from '../lib/host/aws/observed.js';
import { INLINE_BLOB_BYTES, openAwsHeldOnly, openAwsRegistry, openAwsTokens } from '../lib/host/aws/registry.js';
import { openAwsStore } from '../lib/host/aws/store.js';
import { Upstreams } from '../lib/registry/cache/index.js';
import { createRegistryApp } from '../lib/registry/http/index.js';

const config = readAwsConfig(process.env, ...STORE_SETTINGS, 'adminTokenArn');
const store = openAwsStore(config);
const tokens = openAwsTokens(store, config);
const registry = openAwsRegistry(store);
const cache = openAwsHeldOnly(registry, new Upstreams(store));
const app = createRegistryApp({ ...store, ...tokens, registry, cache }, { redirectAboveBytes: INLINE_BLOB_BYTES });

export const handler = observed(store, httpHandler(app, { isExact: true }));
