/** The image-resource function: images that CloudFormation templates want, begun and waited for. */
import { ECRClient } from '@aws-sdk/client-ecr';
import { BuildService } from '../lib/build/index.js';
import { openBuildQueue } from '../lib/host/aws/build-queue.js';
import { readAwsConfig, STORE_SETTINGS } from '../lib/host/aws/config.js';
import type { ImageEvent } from '../lib/host/aws/image-request.js';
import { type BegunImage, type ImageProgress, ImageResource } from '../lib/host/aws/image-resource.js';
import { EcrMirror } from '../lib/host/aws/mirror.js';
import { observed } from '../lib/host/aws/observed.js';
import { openAwsRegistry } from '../lib/host/aws/registry.js';
import { readSecret } from '../lib/host/aws/secret-late.js';
import { openAwsStore } from '../lib/host/aws/store.js';
import { inLogContext } from '../lib/host/aws/log-context.js';
import { s3Client } from '../lib/store/aws/bucket-s3.js';

const config = readAwsConfig(process.env, ...STORE_SETTINGS, 'buildQueueUrl');
const { region } = config;
const store = openAwsStore(config);
const registry = openAwsRegistry(store);
const ecr = new ECRClient({ region });
// A copy that takes longer is gone on with when the framework asks again.
const mirror = new EcrMirror({ ...store, ecr, images: registry }, { prefix: '', budgetMs: 300_000 });
const builds = new BuildService({ ...store, queue: openBuildQueue(store, config) });
const images = new ImageResource({
  ...{ ...store, registry, builds, mirror, ecr, s3: s3Client({ region }) },
  readSecret: (arn) => readSecret(arn, region),
});

/** One function for both handlers of the provider framework: what `onEvent` answered is in the later events. */
export const handler = observed(store, (event: ImageEvent): Promise<BegunImage | ImageProgress> =>
  inLogContext({ stackRequest: event.RequestId, build: event.BuildId }, () =>
    event.BuildId === undefined ? images.onEvent(event) : images.isComplete(event),
  ),
);
