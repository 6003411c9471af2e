/**
 * Task roles on one machine: which role of a task definition has which credentials. The operator writes a file,
 * `task-roles.json` in the data folder, that maps a role's ARN (or `*`) to keys, or to a command that prints credentials
 * as `credential_process` of the AWS CLI does. Read anew at every question, so a change needs no restart.
 */
import { readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import * as z from 'zod';
import type { TaskCredentials, TaskCredentialsSource } from '../../engine/agent/index.js';
import { AppError, errnoCode } from '../../errors/index.js';
import { HOST_PATH, mustRun } from '../../runtime/index.js';
import type { Clock } from '../../store/index.js';

const keys = z.strictObject({
  accessKeyId: z.string().min(1),
  secretAccessKey: z.string().min(1),
  sessionToken: z.string().min(1).optional(),
});
const command = z.strictObject({ process: z.array(z.string()).min(1) });
const file = z.record(z.string(), z.union([keys, command]));
type Roles = z.infer<typeof file>;

/** What a `credential_process` prints. */
const printed = z.object({
  Version: z.literal(1),
  AccessKeyId: z.string().min(1),
  SecretAccessKey: z.string().min(1),
  SessionToken: z.string().optional(),
  Expiration: z.iso.datetime({ offset: true }).optional(),
});

const COMMAND_MS = 30_000;
/** Credentials are fetched again so long before they end: SDKs ask then as well. */
const RENEW_MS = 10 * 60_000;

export class TaskRoles implements TaskCredentialsSource {
  private readonly kept = new Map<string, TaskCredentials>();

  private constructor(
    private readonly path: string,
    private readonly clock: Clock,
  ) {}

  /** A file that is not there names no role. @throws AppError TASK_ROLES_INVALID */
  static async open(path: string, clock: Clock): Promise<TaskRoles> {
    const roles = new TaskRoles(path, clock);
    await roles.read();
    return roles;
  }

  async has(roleArn: string): Promise<boolean> {
    return entryOf(await this.read(), roleArn) !== undefined;
  }

  async find(roleArn: string): Promise<TaskCredentials | undefined> {
    const entry = entryOf(await this.read(), roleArn);
    if (entry === undefined) return undefined;
    if (!('process' in entry)) {
      const { sessionToken, ...pair } = entry;
      return { ...pair, ...(sessionToken === undefined ? {} : { sessionToken }) };
    }
    const name = JSON.stringify(entry.process);
    const kept = this.kept.get(name);
    if (kept?.expiresMs !== undefined && kept.expiresMs > this.clock.nowMs() + RENEW_MS) return kept;
    const fresh = await printedBy(entry.process);
    this.kept.set(name, fresh);
    return fresh;
  }

  private async read(): Promise<Roles> {
    let text: string;
    try {
      // It holds keys: what others may read is not taken.
      if (((await stat(this.path)).mode & 0o077) !== 0) throw invalid(this.path, 'others than its owner may read it');
      text = await readFile(this.path, 'utf8');
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return {};
      throw error;
    }
    return parseRoles(this.path, text);
  }
}

function parseRoles(path: string, text: string): Roles {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid(path, 'it is not JSON');
  }
  const parsed = file.safeParse(value);
  if (parsed.success) return parsed.data;
  // Without the values: they may be keys.
  const [role = ''] = parsed.error.issues[0]?.path ?? [];
  throw invalid(path, `${JSON.stringify(role)} has neither keys nor a process`);
}

function entryOf(roles: Roles, roleArn: string): Roles[string] | undefined {
  return (
    Object.entries(roles).find(([name]) => name === roleArn)?.[1] ??
    (Object.hasOwn(roles, '*') ? roles['*'] : undefined)
  );
}

/** @throws AppError TASK_ROLE_PROCESS_FAILED without what the command printed */
async function printedBy([program = '', ...args]: readonly string[]): Promise<TaskCredentials> {
  const fail = (why: string): AppError =>
    new AppError('TASK_ROLE_PROCESS_FAILED', `${program}, which gives a task role its credentials, ${why}`, {
      kind: 'unavailable',
      hint: 'it has to print {"Version": 1, "AccessKeyId": …, "SecretAccessKey": …, "SessionToken": …, "Expiration": …}',
    });
  const environment = { PATH: process.env['PATH'] ?? HOST_PATH, HOME: homedir() };
  const { stdout } = await mustRun(program, args, { timeoutMs: COMMAND_MS, env: environment }).catch(() => {
    throw fail('failed');
  });
  let value: unknown;
  try {
    value = JSON.parse(stdout);
  } catch {
    throw fail('printed no JSON');
  }
  const parsed = printed.safeParse(value);
  if (!parsed.success) throw fail('printed something else than credentials');
  const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = parsed.data;
  return {
    accessKeyId: AccessKeyId,
    secretAccessKey: SecretAccessKey,
    ...(SessionToken === undefined ? {} : { sessionToken: SessionToken }),
    ...(Expiration === undefined ? {} : { expiresMs: Date.parse(Expiration) }),
  };
}

function invalid(path: string, why: string): AppError {
  return new AppError('TASK_ROLES_INVALID', `${path} cannot be used: ${why}`, {
    kind: 'invalid',
    hint: '{"<role ARN or *>": {"accessKeyId": …, "secretAccessKey": …} or {"process": ["aws", …]}}, mode 0600',
  });
}
