/**
 * Amazon EC2 and EC2 Auto Scaling, by the query protocol they speak. Half a dozen calls do not pay for the SDK's client
 * of EC2, which alone is larger than a whole function may be (docs/decisions/0080).
 */
import { type SigningCredentials, signSigV4 } from '../../auth/index.js';
import { AppError } from '../../errors/index.js';
import { withRetry } from '../../platform/index.js';
import type { Clock } from '../../store/index.js';
import { element, parseXml, textOf, type XmlElement } from './xml.js';

const SERVICES = {
  ec2: { version: '2016-11-15', host: 'ec2', endpoint: 'AWS_ENDPOINT_URL_EC2' },
  autoscaling: { version: '2011-01-01', host: 'autoscaling', endpoint: 'AWS_ENDPOINT_URL_AUTO_SCALING' },
} as const;

export type QueryService = keyof typeof SERVICES;
/** By dotted names, such as `Tags.member.1.Key`. */
export type QueryParameters = Readonly<Record<string, string | number | boolean | undefined>>;

export interface AwsQueryOptions {
  readonly region: string;
  readonly credentials: () => Promise<SigningCredentials>;
  /** Where its addresses are looked for. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const ANSWER_MS = 30_000;
const PASSING = /Throttl|RequestLimitExceeded|ServiceUnavailable|InternalError|InternalFailure|ResourceContention/;
/** In use, or being changed: not now, but by and by. */
const BUSY = /ResourceInUse|ScalingActivityInProgress/;

export class AwsQuery {
  constructor(
    private readonly clock: Clock,
    private readonly options: AwsQueryOptions,
  ) {}

  /** @throws AppError <SERVICE>_<CODE as the service has it>, or <SERVICE>_UNREACHABLE */
  async call(service: QueryService, action: string, parameters: QueryParameters = {}): Promise<XmlElement> {
    return withRetry(this.clock, () => this.once(service, action, parameters));
  }

  private async once(service: QueryService, action: string, parameters: QueryParameters): Promise<XmlElement> {
    const { status, text } = await this.post(service, action, parameters);
    const answer = parseXml(text);
    if (status === 200) return answer;
    // EC2 wraps its errors once more than Auto Scaling does.
    const error = element(answer, 'Error') ?? element(answer, 'Errors', 'Error');
    const code = textOf(error, 'Code') ?? `HTTP_${status}`;
    const kind = PASSING.test(code) || status >= 500 ? 'unavailable' : BUSY.test(code) ? 'conflict' : 'invalid';
    throw new AppError(codeOf(service, code), `${service} ${action}: ${textOf(error, 'Message') ?? code}`, {
      kind,
      details: { action, code },
    });
  }

  private async post(
    service: QueryService,
    action: string,
    parameters: QueryParameters,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const { region } = this.options;
    const { version, host, endpoint } = SERVICES[service];
    const suffix = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
    const url = new URL(this.options.environment[endpoint] ?? `https://${host}.${region}.${suffix}`);
    const form = new URLSearchParams({ Action: action, Version: version });
    for (const [name, value] of Object.entries(parameters)) if (value !== undefined) form.set(name, String(value));
    const body = Buffer.from(form.toString());
    const headers = { host: url.host, 'content-type': 'application/x-www-form-urlencoded' };
    const request = { method: 'POST', path: '/', query: '', headers, body };
    const credentials = await this.options.credentials();
    const { host: _, ...signed } = signSigV4(request, credentials, { region, service, nowMs: this.clock.nowMs() });
    try {
      const signal = AbortSignal.timeout(ANSWER_MS);
      const response = await fetch(new URL('/', url), { method: 'POST', headers: signed, body, signal });
      return { status: response.status, text: await response.text() };
    } catch (cause) {
      const message = `${service} ${action}: no answer`;
      throw new AppError(`${service.toUpperCase()}_UNREACHABLE`, message, { kind: 'unavailable', cause });
    }
  }
}

/** Whether the service refused with this code of its own. */
export function isQueryError(error: unknown, code: RegExp): boolean {
  return error instanceof AppError && typeof error.details['code'] === 'string' && code.test(error.details['code']);
}

function codeOf(service: QueryService, code: string): string {
  const words = code.replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2').replaceAll(/[^A-Za-z0-9]+/g, '_');
  return `${service}_${words}`.toUpperCase();
}
