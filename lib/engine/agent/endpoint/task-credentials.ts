/** Credentials of task roles: the port that knows them, and the answer the AWS SDKs expect of a container's endpoint. */

export interface TaskCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** Absent: they do not expire. */
  readonly expiresMs?: number;
}

/** Knows what a role of a task definition may do here. Errors it throws must not hold a key. */
export interface TaskCredentialsSource {
  /** Whether there are credentials for the role: only then is a container told where to ask. */
  has(roleArn: string): Promise<boolean>;
  /** As they are now; undefined when the role is not known. */
  find(roleArn: string): Promise<TaskCredentials | undefined>;
}

/** SDKs ask again before it; credentials that do not expire are looked up anew then. */
const ASK_AGAIN_MS = 60 * 60_000;

/** As the ECS agent sends it (ecs-agent/credentials). SDKs want every member to be there. */
export function credentialsView(roleArn: string, credentials: TaskCredentials, nowMs: number): object {
  return {
    RoleArn: roleArn,
    AccessKeyId: credentials.accessKeyId,
    SecretAccessKey: credentials.secretAccessKey,
    Token: credentials.sessionToken ?? '',
    Expiration: new Date(credentials.expiresMs ?? nowMs + ASK_AGAIN_MS).toISOString().replace(/\.\d+Z$/, 'Z'),
  };
}
