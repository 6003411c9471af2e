/**
 * The API function: everything under /v1, /healthz and /openapi.json. And `/v2/`, where every registry client begins:
 * no route but the default one is sure to take a path that ends so.
 */
import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import { BuildService } from '../lib/build/index.js';
import {
  CLUSTER_SETTINGS,
  PLATFORM_SETTINGS,
  readAwsConfig,
  readOptionalAwsConfig,
  STORE_SETTINGS,
} from '../lib/host/aws/config.js';
import { openBuildQueue } from '../lib/host/aws/build-queue.js';
import { httpHandler } from '../lib/host/aws/http.js';
import { observed } from '../lib/host/aws/observed.js';
import { openAwsPullThrough } from '../lib/host/aws/caches.js';
import { openAwsPlatform } from '../lib/host/aws/platform.js';
import { openAwsHeldOnly, openAwsRegistry, openAwsTokens } from '../lib/host/aws/registry.js';
import { openAwsStore } from '../lib/host/aws/store.js';
import { LateEcrAuthorization } from '../lib/host/aws/ecr-authorization-late.js';
import { VERSION } from '../lib/host/version.js';
import { createApiApp } from '../lib/http/index.js';
import { CachedImages, Upstreams } from '../lib/registry/cache/index.js';
import { RegistryConnections, RegistryLogins } from '../lib/registry/client/index.js';
import { createRegistryApp } from '../lib/registry/http/index.js';

/** As base64 in an event, with headers, below Lambda's 6 MB. */
const PIECE_BYTES = 4 * 1024 ** 2;

const config = readAwsConfig(process.env, ...STORE_SETTINGS, ...PLATFORM_SETTINGS, 'adminTokenArn', 'buildQueueUrl');
const clusters = readOptionalAwsConfig(process.env, ...CLUSTER_SETTINGS);
const store = openAwsStore(config);
const all = openAwsTokens(store, { ...config, ...readOptionalAwsConfig(process.env, 'deployTokenArn') });
const { apiTokens: tokens, robots, identities } = all;
const registry = openAwsRegistry(store);
const builds = new BuildService({ ...store, queue: openBuildQueue(store, config) });
const upstreams = new Upstreams(store);
const held = openAwsHeldOnly(registry, upstreams);
const images = new CachedImages(registry, held);
// The gateway waits 30 seconds; a copy that takes longer is finished by the reconciler.
const platform = openAwsPlatform(store, images, config, { mirrorMs: 20_000, clusters });

const logins = new RegistryLogins(store.secrets, new LateEcrAuthorization(store.clock));
const connections = new RegistryConnections({ ...store, credentials: logins });
// A refresh asks for a manifest alone, and fits into an answer.
const caches = { upstreams, cache: openAwsPullThrough(store, registry, upstreams), images };
const access = { registry, identities, tokens, robots, logins, connections, caches };
const app = createApiApp(
  { ...store, ...access, platform, builds, images: registry },
  { version: VERSION, pieceBytes: PIECE_BYTES },
);
const api = httpHandler(app);
const ping = httpHandler(createRegistryApp({ ...store, ...all, registry, cache: held }), { isExact: true });

export const handler = observed(store, (event: APIGatewayProxyEventV2) =>
  (event.rawPath === '/v2/' ? ping : api)(event),
);
