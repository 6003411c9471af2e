/**
 * Logins at Amazon ECR by GetAuthorizationToken: a password that works for twelve hours at every registry the AWS
 * identity of this process may use, asked for again shortly before its end.
 */
import { ECRClient, GetAuthorizationTokenCommand } from '@aws-sdk/client-ecr';
import { AppError } from '../../errors/index.js';
import type { EcrAuthorization, RegistryCredentials } from '../../registry/client/index.js';
import { awsFailure } from '../../store/aws/aws-failure.js';
import type { Clock } from '../../store/index.js';

export interface EcrLogin {
  /** The registry of this account. */
  readonly host: string;
  readonly isInsecure: boolean;
  readonly credentials: RegistryCredentials;
}

const MARGIN_MS = 10 * 60_000;

/** The logins of one region. */
export class EcrSignIn {
  private held: { readonly login: EcrLogin; readonly expiresAtMs: number } | undefined;

  constructor(private readonly deps: { readonly ecr: ECRClient; readonly clock: Clock }) {}

  /** @throws AppError ECR_ANSWER_INVALID, and what AWS refuses with */
  async signIn(): Promise<EcrLogin> {
    const nowMs = this.deps.clock.nowMs();
    if (this.held !== undefined && this.held.expiresAtMs - MARGIN_MS > nowMs) return this.held.login;
    const { authorizationToken = '', proxyEndpoint = '', expiresAt } = await this.ask();
    const [username = '', password] = Buffer.from(authorizationToken, 'base64').toString().split(/:(.*)/s);
    if (password === undefined || !URL.canParse(proxyEndpoint)) {
      throw new AppError('ECR_ANSWER_INVALID', 'ECR gave no authorization token', { kind: 'unavailable' });
    }
    const { host, protocol } = new URL(proxyEndpoint);
    const login: EcrLogin = { host, isInsecure: protocol === 'http:', credentials: { username, password } };
    this.held = { login, expiresAtMs: expiresAt?.getTime() ?? nowMs };
    return login;
  }

  private async ask() {
    try {
      const { authorizationData } = await this.deps.ecr.send(new GetAuthorizationTokenCommand({}));
      return authorizationData?.[0] ?? {};
    } catch (error) {
      throw awsFailure('ECR', error);
    }
  }
}

/** For registries that are named by their host, in whatever region they are. */
export class AwsEcrAuthorization implements EcrAuthorization {
  private readonly regions = new Map<string, Promise<EcrSignIn>>();

  /** @param clientFor the SDK's own client, with the credentials it finds, when absent */
  constructor(
    private readonly clock: Clock,
    private readonly clientFor: (region: string) => Promise<ECRClient> = async (region) => new ECRClient({ region }),
  ) {}

  async credentialsFor(registry: string): Promise<RegistryCredentials> {
    const [, region] = /\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\./.exec(registry) ?? [];
    if (region === undefined) {
      throw new AppError('REGISTRY_LOGIN_INVALID', `${registry} is not a registry of Amazon ECR`, {
        hint: '<account>.dkr.ecr.<region>.amazonaws.com',
      });
    }
    const known = this.regions.get(region) ?? this.open(region);
    this.regions.set(region, known);
    return (await (await known).signIn()).credentials;
  }

  private async open(region: string): Promise<EcrSignIn> {
    return new EcrSignIn({ ecr: await this.clientFor(region), clock: this.clock });
  }
}
