/**
 * Which image of our registry workers run. By its tag, as `build-worker:1`; or, as `cdk/worker:*`, the newest of the
 * repository that a template keeps it in: there every version has a tag of its own, and while one takes the place of
 * another both are there. So the setting stays the same, and the builder function waits for no image that it is to build.
 */
import { AppError } from '../../errors/index.js';
import { type Digest, parseReference } from '../../oci/index.js';
import type { Images } from '../../registry/index.js';

export interface WorkerImage {
  readonly repository: string;
  readonly digest: Digest;
}

/** No tag can be called that. */
const NEWEST = ':*';

/** @throws AppError BUILD_RUN_UNAVAILABLE while there is none */
export async function findWorkerImage(images: Pick<Images, 'manifest' | 'tags'>, name: string): Promise<WorkerImage> {
  if (name.endsWith(NEWEST)) return newestOf(images, parseReference(name.slice(0, -NEWEST.length)).repository);
  const { repository, tag = 'latest' } = parseReference(name);
  const digest = (await images.manifest(repository, { tag }))?.digest;
  if (digest !== undefined) return { repository, digest };
  throw unavailable(
    `the worker image ${repository}:${tag}, which nobody has made yet`,
    'npm run worker-image -- URL TOKEN, once, on a machine of the architecture of the instances',
  );
}

async function newestOf(images: Pick<Images, 'tags'>, repository: string): Promise<WorkerImage> {
  const tags = (await images.tags(repository)) ?? [];
  const [newest] = tags.toSorted((a, b) => b.updatedMs - a.updatedMs);
  if (newest !== undefined) return { repository, digest: newest.digest };
  throw unavailable(
    `the worker image that the stack keeps in ${repository}, and it is not there`,
    'it is made while the stack is deployed: wait for its end; in a template, let the resource of an image with a RUN depend on that of the image of the workers',
  );
}

function unavailable(what: string, hint: string): AppError {
  return new AppError('BUILD_RUN_UNAVAILABLE', `RUN needs ${what}`, { kind: 'unsupported', hint });
}
