/** The API function: everything under /v1, /healthz and /openapi.json. */
import { BuildService } from '../lib/build/index.js';
import { PLATFORM_SETTINGS, readAwsConfig, STORE_SETTINGS } from '../lib/host/aws-config.js';
import { httpHandler } from '../lib/host/aws-http.js';
import { openAwsPlatform } from '../lib/host/aws-platform.js';
import { openAwsRegistry, openAwsTokens } from '../lib/host/aws-registry.js';
import { openAwsStore } from '../lib/host/aws-store.js';
import { VERSION } from '../lib/host/version.js';
import { createApiApp } from '../lib/http/index.js';
import { sqsClient, SqsQueue } from '../lib/store/queue-sqs.js';

const config = readAwsConfig(process.env, ...STORE_SETTINGS, ...PLATFORM_SETTINGS, 'adminTokenArn', 'buildQueueUrl');
const store = await openAwsStore(config);
const { apiTokens: tokens, robots, identities } = await openAwsTokens(store, config);
const registry = openAwsRegistry(store);
const client = sqsClient({ region: config.region });
const queue = new SqsQueue({ ...store, client }, { queueUrl: config.buildQueueUrl });
const builds = new BuildService({ ...store, queue });
// The gateway waits 30 seconds; a copy that takes longer is finished by the reconciler.
const platform = openAwsPlatform(store, registry, config, { mirrorMs: 20_000 });

const access = { registry, identities, tokens, robots };
const app = createApiApp({ ...store, ...access, platform, builds, images: registry }, { version: VERSION });

export const handler = httpHandler(app);
