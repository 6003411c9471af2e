/** `wharf up`: the platform on this machine, in the foreground, until Ctrl-C. */
import { AppError } from '../../errors/index.js';
import { dataFolder } from '../connection.js';
import {
  type BuildingRules,
  type CliDeps,
  OCI_RUNTIMES,
  type OciRuntimeName,
  type RuntimeName,
  type Webhook,
} from '../deps.js';
import { printJson } from '../output.js';

export interface UpInput {
  readonly data?: string;
  /** `HOST:PORT`; port 0 takes a free one. */
  readonly listen?: string;
  readonly token?: string;
  readonly runtime?: RuntimeName;
  readonly ociRuntime?: string;
  readonly eventsWebhook?: string;
  readonly building?: BuildingRules;
  readonly json?: boolean;
}

const DEFAULT_LISTEN = '127.0.0.1:7070';

export async function up(input: UpInput, deps: CliDeps): Promise<void> {
  const { output } = deps;
  const platform = await deps.startEmbedded({
    data: dataFolder(deps.cwd, input),
    listen: parseListen(input.listen ?? DEFAULT_LISTEN),
    ...(input.token === undefined ? {} : { token: input.token }),
    ...(input.runtime === undefined ? {} : { runtime: input.runtime }),
    ...(input.building === undefined ? {} : { building: input.building }),
    ...ociRuntimeOf(input, deps),
    ...webhookOf(input, deps),
  });
  const { url, registry, ecs, token } = platform;
  try {
    if (input.json === true) printJson(output, { url, registry, ecs, token });
    else output.result(welcome(url, token, output.colors.bold));
    if (input.runtime === 'simulated') output.say(`${SIMULATED}\n`);
    await interrupted(deps.interrupted);
    output.say('stopping; containers of services go on running until `wharf down`\n');
  } finally {
    await platform.close();
  }
}

/** @throws AppError LISTEN_INVALID */
export function parseListen(text: string): { host: string; port: number } {
  const [, host = '', digits = ''] = /^(?:(\[[0-9a-f:.]+\]|[^:]*):)?(\d{1,5})$/i.exec(text) ?? [];
  const port = Number(digits);
  if (digits !== '' && port <= 65_535) return { host: host.replace(/^\[|\]$/g, '') || '127.0.0.1', port };
  throw new AppError('LISTEN_INVALID', `--listen ${text} is not HOST:PORT`, { hint: 'for example 127.0.0.1:7070' });
}

function welcome(url: string, token: string, bold: (text: string) => string): string {
  return `Wharf is up at ${bold(url)}
token  ${token}

Try, in another terminal, in this folder:
  npm run base-image
  npx wharf build -t hello examples/hello
  npx wharf cluster create main --instances 2 && npx wharf deploy hello --image hello --count 2
`;
}

/** The secret comes from WHARF_EVENTS_SECRET, so that it stands in no list of processes. */
export function webhookOf(
  { eventsWebhook: url }: { readonly eventsWebhook?: string },
  { env }: CliDeps,
): { readonly webhook?: Webhook } {
  return url === undefined ? {} : { webhook: { url, secret: env['WHARF_EVENTS_SECRET'] ?? '' } };
}

/**
 * Of the option, or else of WHARF_OCI_RUNTIME.
 * @throws AppError OCI_RUNTIME_INVALID
 */
export function ociRuntimeOf(
  input: { readonly ociRuntime?: string },
  { env }: CliDeps,
): { readonly ociRuntime?: OciRuntimeName } {
  const name = input.ociRuntime ?? env['WHARF_OCI_RUNTIME'];
  if (name === undefined || name === '') return {};
  const known = OCI_RUNTIMES.find((one) => one === name);
  if (known !== undefined) return { ociRuntime: known };
  const where = input.ociRuntime === undefined ? 'WHARF_OCI_RUNTIME' : '--oci-runtime';
  throw new AppError('OCI_RUNTIME_INVALID', `${where} ${JSON.stringify(name)} is no OCI runtime that is known here`, {
    hint: OCI_RUNTIMES.join(' or '),
  });
}

/** Said wherever the simulated runtime is started. */
export const SIMULATED = 'runtime simulated: tasks are played, no container runs';

export function interrupted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
