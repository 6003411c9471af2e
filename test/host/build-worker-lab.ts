/**
 * The lab of images of templates with workers: a RUN goes on in the worker image, which is an image of a template itself,
 * as a task of the embedded engine with the keys and endpoints of the lab's fakes. Its base has no bundle: what runs is
 * what the deployment copied over it.
 */
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WORKER_BUNDLE, workerContextOver } from '../../lib/constructs/build-worker-context.js';
import { packedPolicy } from '../../lib/constructs/builder-source-policy.js';
import { AwsBuildTasks } from '../../lib/host/aws/build-tasks.js';
import type { ImageEvent } from '../../lib/host/aws/image-request.js';
import { openContextFolder } from '../../lib/layers/context/context-folder-fs.js';
import { writeContextTar } from '../../lib/layers/context/context-tar-fs.js';
import { writeTar } from '../../lib/layers/index.js';
import { hostResidue } from '../../lib/runtime/index.js';
import { Ecs, EcsRates, lateEcsClient, TaskDefinitions } from '../../lib/platform/index.js';
import { baseContext } from '../../scripts/base-image.js';
import { WORKER_BASE_IMAGE, workerBaseContext } from '../../scripts/worker-image.js';
import { type ContainerEcs, startContainerEcs } from '../fakes/account/ecs-containers.js';
import { REGION } from '../fakes/account/template.js';
import { startJsonApi } from '../fakes/json-api.js';
import { fakeCredentials } from '../fakes/s3/index.js';
import {
  type ImageResourceLab,
  LAB_BUCKET,
  LAB_SEALING_KEY,
  LAB_TABLE,
  type LabParts,
  openImageResourceLab,
} from './image-resource-lab.js';

export interface BuildWorkerLab extends ImageResourceLab {
  readonly ecs: ContainerEcs;
  /** As the images here have to be for. */
  readonly platform: string;
  /** The event of a deployment of the worker image; the bundle of another version ends with a comment that says so. */
  workerDeployment(version?: string): Promise<ImageEvent>;
  /** What is left of its containers after `close`. */
  residue(): Promise<readonly string[]>;
}

const CLUSTER = 'wharf';
/** The operator's, packed: nothing here is from there. */
export const LAB_POLICY = packedPolicy('the lab', {
  rules: [{ action: 'DENY', selector: { identifier: 'docker-image://registry.invalid/*' } }],
});
/** In ECR, as the template names it. */
export const WORKER_REPOSITORY = 'worker';

export async function openBuildWorkerLab(): Promise<BuildWorkerLab> {
  const folder = await mkdtemp(join(tmpdir(), 'wharf-build-worker-'));
  const data = join(folder, 'data');
  const secrets = await startJsonApi(async () => ({
    status: 200,
    body: JSON.stringify({ SecretString: LAB_SEALING_KEY }),
  }));
  const ecs = await startContainerEcs({ data, cluster: CLUSTER, instances: 1 });
  const platform = `linux/${process.arch === 'arm64' ? 'arm64' : 'amd64'}`;
  const tasks = async (parts: LabParts): Promise<AwsBuildTasks> => {
    await ecs.grant({
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: fakeCredentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: fakeCredentials.secretAccessKey,
      AWS_ENDPOINT_URL_S3: parts.endpoints.s3,
      AWS_ENDPOINT_URL_DYNAMODB: parts.endpoints.dynamoDb,
      AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.endpoint,
    });
    return workersOn(ecs, parts, platform);
  };
  const lab = await openImageResourceLab({ platform, ecr: ecs.ecr, tasks });
  await makeBases(lab);
  let deployments = 0;
  ecs.ecr.repositories.add(WORKER_REPOSITORY);
  return {
    ...lab,
    async workerDeployment(version) {
      const files = workerContextOver(WORKER_BASE_IMAGE);
      const later = version === undefined ? {} : { [WORKER_BUNDLE]: `${files[WORKER_BUNDLE]}// ${version}\n` };
      return {
        RequestType: 'Create',
        RequestId: `worker-${(deployments += 1)}`,
        ResourceProperties: {
          ContextBucket: 'assets',
          ContextKey: await lab.asset({ ...files, ...later }),
          Repository: WORKER_REPOSITORY,
          Dockerfile: 'Dockerfile',
          Platform: platform,
        },
      };
    },
    ecs,
    platform,
    async close() {
      await lab.close();
      await ecs.close();
      await secrets.close();
    },
    async residue() {
      const left = await hostResidue({ id: ecs.scopeId, directory: join(data, 'runtime') });
      await rm(folder, { recursive: true, force: true });
      return left;
    },
  };
}

function workersOn(ecs: ContainerEcs, { store, registry, mirror }: LabParts, platform: string): AwsBuildTasks {
  const client = lateEcsClient({ region: REGION, endpoint: ecs.endpoint, credentials: fakeCredentials });
  const calls = new Ecs(client, store.clock, { rates: new EcsRates(store.clock) });
  const toEcr = mirror('wharf');
  const nameImage: AwsBuildTasks['deps']['nameImage'] = (repository, digest) => toEcr.nameImage(repository, digest);
  const definitions = new TaskDefinitions({ ecs: calls, records: store.records }, { nameImage, defaults: {} });
  return new AwsBuildTasks(
    { ecs: calls, registry, nameImage, definitions },
    {
      ...{ region: REGION, table: LAB_TABLE, bucket: LAB_BUCKET, sealingKeyArn: 'arn:aws:secretsmanager:sealing-key' },
      ...{ platform, dockerHub: 'no', cluster: CLUSTER, capacityProvider: 'capacity', taskLogGroup: 'builds' },
      ...{ executionRoleArn: 'arn:aws:iam::123456789012:role/execution', mirrorPrefix: 'wharf' },
      ...{ workerImage: `cdk/${WORKER_REPOSITORY}:*`, workerRoleArn: 'arn:aws:iam::123456789012:role/worker' },
      ...{ workerCpu: '512', workerMemory: '1024', sourcePolicy: LAB_POLICY },
    },
  );
}

async function makeBases(lab: ImageResourceLab): Promise<void> {
  const context = workerBaseContext();
  try {
    const tar = join(context, 'context.tar');
    writeContextTar(openContextFolder(context, '.', { exclude: ['context.tar'] }).look(), tar);
    await build(lab, createReadStream(tar), WORKER_BASE_IMAGE);
    await build(lab, writeTar(baseContext()), 'busybox:1');
  } finally {
    await rm(context, { recursive: true, force: true });
  }
}

async function build(lab: ImageResourceLab, tar: AsyncIterable<Uint8Array>, tag: string): Promise<void> {
  const { digest: context } = await lab.content.put(tar);
  const { id } = await lab.builds.submit({ context, tags: [tag] });
  await lab.build();
  const made = await lab.builds.get(id);
  if (made?.status !== 'succeeded') throw new Error(`${tag}: ${JSON.stringify(made?.error)}`);
}
