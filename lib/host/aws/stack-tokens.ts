/**
 * Tokens that the stack made. They become valid when somebody shows a token that nobody knows, so that a function that
 * starts need not ask Secrets Manager for them: on nearly every start they have long been valid.
 */
import type { Account, ApiTokens, Role } from '../../auth/index.js';
import { late } from '../../store/index.js';
import type { AwsConfig } from './config.js';
import { readSecret } from './secret-late.js';

export type StackTokensConfig = AwsConfig<'adminTokenArn' | 'region'> & Partial<AwsConfig<'deployTokenArn'>>;

export class StackTokens {
  private readonly ensureAll = late(() => this.ensureEach());
  /** Once for a process: what is unknown after it stays so. */
  private areEnsured = false;

  constructor(
    private readonly tokens: Pick<ApiTokens, 'verify' | 'ensureToken'>,
    private readonly config: StackTokensConfig,
    private readonly read: (arn: string, region: string) => Promise<string> = readSecret,
  ) {}

  /** @throws AppError SECRET_EMPTY, STORE_REFUSED, STORE_UNAVAILABLE when the stack's tokens cannot be read */
  async verify(token: string): Promise<Account | undefined> {
    const known = await this.tokens.verify(token);
    if (known !== undefined || this.areEnsured) return known;
    await this.ensureAll();
    return this.tokens.verify(token);
  }

  private async ensureEach(): Promise<void> {
    const { adminTokenArn, deployTokenArn } = this.config;
    await Promise.all([
      this.ensure(adminTokenArn, 'admin', 'first administrator'),
      deployTokenArn === undefined
        ? undefined
        : this.ensure(deployTokenArn, 'deploy', 'those who may deploy by the stack'),
    ]);
    this.areEnsured = true;
  }

  private async ensure(arn: string, role: Role, name: string): Promise<void> {
    await this.tokens.ensureToken(await this.read(arn, this.config.region), role, name);
  }
}
