/** `wharf engine`: the ECS API alone, in the foreground, until Ctrl-C. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { AppError } from '../../errors/index.js';
import { defined } from '../../platform/values/index.js';
import { dataFolder } from '../connection.js';
import type { CliDeps, EngineStart, RuntimeName, StartedEngine } from '../deps.js';
import { printJson } from '../output.js';
import { interrupted, ociRuntimeOf, parseListen, SIMULATED, webhookOf } from './up.js';

export interface EngineInput {
  readonly data?: string;
  /** `HOST:PORT`; port 0 takes a free one. */
  readonly listen?: string;
  readonly runtime?: RuntimeName;
  readonly ociRuntime?: string;
  readonly region?: string;
  readonly account?: string;
  /** A file in the form of ~/.aws/credentials. */
  readonly keys?: string;
  readonly eventsWebhook?: string;
  readonly json?: boolean;
}

const DEFAULT_LISTEN = '127.0.0.1:7071';

export async function engine(input: EngineInput, deps: CliDeps): Promise<void> {
  const { output } = deps;
  const keys = await keysOf(input, deps);
  const running = await deps.startEngine(
    defined({
      data: dataFolder(deps.cwd, input),
      listen: parseListen(input.listen ?? DEFAULT_LISTEN),
      runtime: input.runtime,
      ...ociRuntimeOf(input, deps),
      region: input.region,
      accountId: input.account,
      keys,
      ...webhookOf(input, deps),
    }),
  );
  try {
    const { url, region, accountId } = running;
    if (input.json === true) printJson(output, { url, region, account: accountId });
    else output.result(welcome(running, keys !== undefined, output.colors.bold));
    if (input.runtime === 'simulated') output.say(`${SIMULATED}\n`);
    await interrupted(deps.interrupted);
    output.say('stopping; containers go on running until `wharf down`\n');
  } finally {
    await running.close();
  }
}

type Keys = NonNullable<EngineStart['keys']>;

/** @throws AppError ENGINE_KEYS_INVALID */
async function keysOf({ keys: file }: EngineInput, { cwd, env }: CliDeps): Promise<Keys | undefined> {
  if (file !== undefined) {
    const text = await readFile(resolve(cwd, file), 'utf8').catch((error: unknown) => {
      throw new AppError('ENGINE_KEYS_INVALID', `${file} cannot be read: ${String(error)}`);
    });
    const value = (name: string): string | undefined =>
      new RegExp(`^\\s*${name}\\s*=\\s*(\\S+)\\s*$`, 'm').exec(text)?.[1];
    return wholeKeys(value('aws_access_key_id'), value('aws_secret_access_key'), file);
  }
  const [id, secret] = [env['WHARF_ENGINE_ACCESS_KEY_ID'], env['WHARF_ENGINE_SECRET_ACCESS_KEY']];
  return id === undefined && secret === undefined ? undefined : wholeKeys(id, secret, 'the environment');
}

function wholeKeys(accessKeyId: string | undefined, secretAccessKey: string | undefined, where: string): Keys {
  if (accessKeyId !== undefined && secretAccessKey !== undefined) return { accessKeyId, secretAccessKey };
  throw new AppError('ENGINE_KEYS_INVALID', `${where} has only one half of the keys, or none`, {
    hint: 'aws_access_key_id and aws_secret_access_key, or WHARF_ENGINE_ACCESS_KEY_ID and WHARF_ENGINE_SECRET_ACCESS_KEY',
  });
}

function welcome({ url, region }: StartedEngine, signed: boolean, bold: (text: string) => string): string {
  const keys = signed
    ? 'export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…   # the keys it was started with'
    : 'export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any   # every signature passes on loopback';
  return `The ECS API is at ${bold(url)}

Try, in another terminal:
  export AWS_ENDPOINT_URL_ECS=${url} AWS_DEFAULT_REGION=${region}
  ${keys}
  aws ecs create-cluster
  aws ecs register-container-instance --total-resources name=CPU,type=INTEGER,integerValue=1024 name=MEMORY,type=INTEGER,integerValue=2048
  aws ecs register-task-definition --family web --container-definitions '[{"name":"app","image":"nginx:1","memory":128}]'
  aws ecs run-task --task-definition web
`;
}
