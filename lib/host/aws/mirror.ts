/**
 * Copies images to Amazon ECR, where container instances pull them with their own role: no registry password lies on
 * any host, and a pull needs neither our functions nor our records. Copied once per image, and only what is missing.
 */
import { CreateRepositoryCommand, ECRClient } from '@aws-sdk/client-ecr';
import { AppError } from '../../errors/index.js';
import type { Digest } from '../../oci/index.js';
import { pushImage, RegistryClient } from '../../registry/client/index.js';
import type { Images } from '../../registry/index.js';
import { awsErrorName, awsFailure } from '../../store/aws/aws-failure.js';
import type { Clock, ContentStore, Logger } from '../../store/index.js';
import { EcrSignIn } from './ecr-authorization.js';

export interface EcrMirrorDeps {
  readonly ecr: ECRClient;
  readonly images: Images;
  readonly content: ContentStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface EcrMirrorOptions {
  /** Put before the repository's own name. */
  readonly prefix: string;
  /** When a copy is left for the next try, which goes on where this one stood. */
  readonly budgetMs: number;
}

export class EcrMirror {
  private readonly authorization: EcrSignIn;

  constructor(
    private readonly deps: EcrMirrorDeps,
    private readonly options: EcrMirrorOptions,
  ) {
    this.authorization = new EcrSignIn(deps);
  }

  /**
   * The image's name in ECR, once it is there.
   * @throws AppError IMAGE_MIRROR_UNFINISHED, which is retryable, and what ECR refuses with
   */
  async nameImage(repository: string, digest: Digest): Promise<string> {
    return this.copyTo(`${this.options.prefix}/${repository}`, repository, digest, { create: true });
  }

  /**
   * The same for a repository of ECR by its name.
   * @param options.create whether it may have to be made; otherwise it is somebody else's, and there
   */
  async copyTo(
    remote: string,
    repository: string,
    digest: Digest,
    options: { readonly create: boolean } = { create: false },
  ): Promise<string> {
    const login = await this.authorization.signIn();
    const client = new RegistryClient(this.deps, {
      registry: login.host,
      insecure: login.isInsecure,
      credentials: login.credentials,
    });
    if ((await client.headManifest(remote, digest)) === undefined) {
      if (options.create) await this.createRepository(remote);
      await this.copy(client, repository, digest, remote);
    }
    return `${login.host}/${remote}@${digest}`;
  }

  private async copy(client: RegistryClient, repository: string, digest: Digest, remote: string): Promise<void> {
    const signal = AbortSignal.timeout(this.options.budgetMs);
    // A tag keeps rules that expire what has none away from images in use.
    const to = { repository: remote, tag: digest.replace(':', '-') };
    try {
      const { blobsSent } = await pushImage({ ...this.deps, client }, { repository, digest, to }, { signal });
      this.deps.logger.info('an image was copied to ECR', { repository: remote, digest, blobsSent });
    } catch (error) {
      if (!signal.aborted) throw error;
      throw new AppError('IMAGE_MIRROR_UNFINISHED', `${repository}@${digest} is still being copied to ECR`, {
        kind: 'unavailable',
        hint: 'a deployment goes on by itself within a minute; anything else is to be asked for again',
        cause: error,
      });
    }
  }

  private async createRepository(repositoryName: string): Promise<void> {
    try {
      await this.deps.ecr.send(new CreateRepositoryCommand({ repositoryName }));
    } catch (error) {
      if (awsErrorName(error) !== 'RepositoryAlreadyExistsException') throw awsFailure('ECR', error);
    }
  }
}

/** With a client for the region. */
export function ecrMirror(deps: Omit<EcrMirrorDeps, 'ecr'>, region: string, options: EcrMirrorOptions): EcrMirror {
  return new EcrMirror({ ...deps, ecr: new ECRClient({ region }) }, options);
}
