/**
 * The gate in front of every /v2/ route: wrong credentials, missing ones and missing rights are answered here, with
 * the challenge that starts the token flow (RFC 6750, section 3). The answer never depends on whether something
 * exists, so what is foreign and what is absent look the same.
 */
import { authorize } from '../../auth/index.js';
import { AppError } from '../../errors/index.js';
import { checkRepositoryName } from '../index.js';
import { type Caller, type IsPublic, mayAct } from './caller.js';
import { errorResponse, errorsResponse } from './errors.js';
import type { Reply } from './replies.js';
import type { Route, RouteMatch } from './routes.js';

export interface GateOptions {
  /** Where the token end-point is, without its path. */
  readonly base: string;
  readonly service: string;
  /** The repository a mount names as its source: a client should ask for the right to pull from there as well. */
  readonly mountFrom: string | null;
  readonly isPublic: IsPublic;
}

export class Gate {
  constructor(private readonly options: GateOptions) {}

  /**
   * The response for a caller who may not pass; undefined when they may. Undefined as a caller: wrong credentials.
   * @throws AppError NAME_INVALID, but only to those who may see names at all
   */
  async refusal(caller: Caller | undefined, match: RouteMatch): Promise<Reply | undefined> {
    const route = match.outcome === 'found' ? match.route : undefined;
    const repository = match.outcome === 'found' ? match.repository : '';
    if (caller === undefined) {
      return this.challenge('the credentials are wrong or have expired', route, repository, 'invalid_token');
    }
    const isStranger = caller.shown === 'nothing';
    const mayPass = await this.mayPass(caller, route, repository);
    if (!mayPass && isStranger) return this.challenge('authentication required', route, repository);
    if (route !== undefined && isOfRepository(route)) checkRepositoryName(repository);
    if (mayPass) return undefined;
    const message = `${caller.name} may not ${route?.needs} here`;
    if (caller.shown === 'registry-token') return this.challenge(message, route, repository, 'insufficient_scope');
    return errorResponse(
      new AppError('DENIED', message, {
        kind: 'forbidden',
        hint: 'a token of another role, or a robot with a grant for this repository',
      }),
    );
  }

  /** The challenge for a caller whose token covers the route, but not the repository that a mount is to read. */
  mountChallenge(caller: Caller, match: RouteMatch, from: string): Reply {
    const route = match.outcome === 'found' ? match.route : undefined;
    const repository = match.outcome === 'found' ? match.repository : '';
    const message = `${caller.name} shows a token that does not say pull from ${from}`;
    return this.challenge(message, route, repository, 'insufficient_scope', from);
  }

  private async mayPass(caller: Caller, route: Route | undefined, name: string): Promise<boolean> {
    if (route === undefined || route.needs === 'login') return caller.shown !== 'nothing';
    if (route.needs === 'catalog') return authorize(caller.principal, 'catalog', { kind: 'catalog' });
    return mayAct(caller, route.needs, name, this.options.isPublic);
  }

  private challenge(
    message: string,
    route: Route | undefined,
    repository: string,
    error?: string,
    from: string | null = this.options.mountFrom,
  ): Reply {
    const scope = scopeOf(route, repository, from);
    const parts = [
      `realm="${this.options.base}/token"`,
      `service="${this.options.service}"`,
      ...(scope === undefined ? [] : [`scope="${scope}"`]),
      ...(error === undefined ? [] : [`error="${error}"`]),
    ];
    return errorsResponse(401, [{ code: 'UNAUTHORIZED', message }], {
      'www-authenticate': `Bearer ${parts.join(',')}`,
    });
  }
}

function isOfRepository(route: Route): boolean {
  return route.needs !== 'login' && route.needs !== 'catalog';
}

/** Only a well-formed name goes into a header. */
const SAFE_NAME = /^[a-z0-9._/-]{1,255}$/;

/** What a client should ask the token end-point for. */
function scopeOf(route: Route | undefined, repository: string, from: string | null): string | undefined {
  if (route === undefined || route.needs === 'login') return undefined;
  if (route.needs === 'catalog') return 'registry:catalog:*';
  if (!SAFE_NAME.test(repository)) return undefined;
  const scope = `repository:${repository}:${route.needs === 'push' ? 'pull,push' : route.needs}`;
  const isMount = route.name === 'upload-start' && from !== null && from !== repository && SAFE_NAME.test(from);
  return isMount ? `${scope} repository:${from}:pull` : scope;
}
