/**
 * Robots: callers of the registry with rights to named repositories only, for CI jobs and hosts that pull. A robot's
 * secret is shown once and stored as its SHA-256, which is enough for 192 random bits (`ROBOTSECRET#<hash>` leads to
 * the robot). Two secrets may live at once, so that one can be replaced while the other still works.
 */
import { AppError } from '../errors/index.js';
import type { Clock, Ids, RecordKey, RecordStore, StoredRecord } from '../store/index.js';
import type { Grant, GrantHolder } from './principal.js';
import { checkRepositoryPattern } from './repository-pattern.js';
import { hashOf, sameText } from './secret-text.js';

export interface RobotInfo {
  readonly name: string;
  readonly description?: string;
  readonly grants: readonly Grant[];
  readonly createdMs: number;
  /** Epoch milliseconds; absent: until it is removed. */
  readonly expiresAtMs?: number;
  /** Those that work, oldest first. */
  readonly secrets: readonly { readonly id: string; readonly createdMs: number }[];
}

export interface RobotSpec {
  readonly description?: string;
  readonly grants: readonly Grant[];
  /** From now; absent: no end. */
  readonly expiresInSeconds?: number;
}

/** A secret that was just made. It is not to be had again. */
export interface NewRobotSecret {
  readonly secretId: string;
  readonly secret: string;
}

interface RobotRecord extends Omit<RobotInfo, 'secrets'> {
  readonly id: string;
  readonly secrets: readonly { readonly id: string; readonly hash: string; readonly createdMs: number }[];
}

/** What a secret leads to. */
interface RobotSecretRecord {
  readonly robot: string;
}

export interface RobotsDeps {
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly ids: Ids;
}

/** Every robot's secret begins so, and no API token that we make. */
const PREFIX = 'wharf-robot_';
const RANDOM_BYTES = 24;
const LIST = 'ROBOTS';
const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;
const MAX_GRANTS = 100;
const MAX_SECRETS = 2;
const LONGEST_DESCRIPTION = 200;

export class Robots {
  constructor(private readonly deps: RobotsDeps) {}

  /** @throws AppError ROBOT_INVALID, REPOSITORY_PATTERN_INVALID, ROBOT_EXISTS */
  async create(name: string, spec: RobotSpec): Promise<RobotInfo & NewRobotSecret> {
    if (!NAME.test(name)) {
      throw invalid(
        `${JSON.stringify(name.slice(0, 100))} is not a robot's name`,
        'a lower-case letter or digit, then up to 62 of those and . _ -',
      );
    }
    const made = this.newSecret();
    const record: RobotRecord = {
      id: this.deps.ids.ulid(),
      name,
      createdMs: this.deps.clock.nowMs(),
      ...this.settings(spec),
      secrets: [made.kept],
    };
    const result = await this.deps.records.transact([
      { op: 'put', key: robotKey(name), value: record, expect: 'absent' },
      { op: 'put', key: secretKey(made.kept.hash), value: { robot: name } satisfies RobotSecretRecord },
    ]);
    if (result.outcome === 'written') return { ...infoOf(record), ...made.shown };
    throw new AppError('ROBOT_EXISTS', `there is a robot ${name} already`, {
      kind: 'conflict',
      hint: 'change it, give it a second secret, or choose another name',
    });
  }

  /** Sets rights, description and expiry anew; secrets stay. @throws AppError ROBOT_NOT_FOUND and those of create */
  async change(name: string, spec: RobotSpec): Promise<RobotInfo> {
    const settings = this.settings(spec);
    return this.rewrite(name, ({ id, createdMs, secrets }) => ({ id, name, createdMs, secrets, ...settings }));
  }

  /** A second secret; the first goes on working until it is revoked. @throws AppError ROBOT_NOT_FOUND, ROBOT_SECRETS_FULL */
  async addSecret(name: string): Promise<RobotInfo & NewRobotSecret> {
    const made = this.newSecret();
    for (;;) {
      const { value, version } = await this.expect(name);
      if (value.secrets.length >= MAX_SECRETS) {
        throw new AppError('ROBOT_SECRETS_FULL', `robot ${name} has ${MAX_SECRETS} secrets already`, {
          kind: 'conflict',
          hint: `revoke the one nobody uses any more: ${value.secrets.map(({ id }) => id).join(' or ')}`,
        });
      }
      const changed: RobotRecord = { ...value, secrets: [...value.secrets, made.kept] };
      const result = await this.deps.records.transact([
        { op: 'put', key: robotKey(name), value: changed, expect: { version } },
        { op: 'put', key: secretKey(made.kept.hash), value: { robot: name } satisfies RobotSecretRecord },
      ]);
      if (result.outcome === 'written') return { ...infoOf(changed), ...made.shown };
    }
  }

  /** @throws AppError ROBOT_NOT_FOUND, ROBOT_SECRET_NOT_FOUND */
  async revokeSecret(name: string, secretId: string): Promise<RobotInfo> {
    for (;;) {
      const { value, version } = await this.expect(name);
      const gone = value.secrets.find(({ id }) => id === secretId);
      if (gone === undefined) {
        throw new AppError('ROBOT_SECRET_NOT_FOUND', `robot ${name} has no secret ${secretId.slice(0, 60)}`, {
          kind: 'not-found',
          hint: value.secrets.length === 0 ? 'it has none' : `one of ${value.secrets.map(({ id }) => id).join(', ')}`,
        });
      }
      const changed: RobotRecord = { ...value, secrets: value.secrets.filter((each) => each !== gone) };
      const result = await this.deps.records.transact([
        { op: 'put', key: robotKey(name), value: changed, expect: { version } },
        { op: 'delete', key: secretKey(gone.hash) },
      ]);
      if (result.outcome === 'written') return infoOf(changed);
    }
  }

  /** Its secrets stop working at once. @returns false when there is no such robot */
  async remove(name: string): Promise<boolean> {
    for (;;) {
      const record = await this.deps.records.get<RobotRecord>(robotKey(name));
      if (record === undefined) return false;
      const result = await this.deps.records.transact([
        { op: 'delete', key: robotKey(name), expect: { version: record.version } },
        ...record.value.secrets.map(({ hash }) => ({ op: 'delete', key: secretKey(hash) }) as const),
      ]);
      if (result.outcome === 'written') return true;
    }
  }

  /** @throws AppError ROBOT_NOT_FOUND */
  async get(name: string): Promise<RobotInfo> {
    return infoOf((await this.expect(name)).value);
  }

  /** By name; those that have expired too. */
  async list(): Promise<readonly RobotInfo[]> {
    const found: RobotInfo[] = [];
    let cursor: string | undefined;
    do {
      const from = cursor === undefined ? {} : { cursor };
      const page = await this.deps.records.query<RobotRecord>(LIST, { limit: 1000, ...from });
      found.push(...page.records.map((record) => infoOf(record.value)));
      cursor = page.cursor;
    } while (cursor !== undefined);
    return found;
  }

  /** Who shows this secret; undefined when it is no robot's, was revoked, or its robot has expired. */
  async verify(secret: string): Promise<GrantHolder | undefined> {
    if (!secret.startsWith(PREFIX) || secret.length > 200) return undefined;
    const hash = hashOf(secret);
    const named = await this.deps.records.get<RobotSecretRecord>(secretKey(hash));
    if (named === undefined) return undefined;
    const robot = (await this.deps.records.get<RobotRecord>(robotKey(named.value.robot)))?.value;
    if (robot === undefined || !robot.secrets.some((each) => sameText(each.hash, hash))) return undefined;
    if (robot.expiresAtMs !== undefined && robot.expiresAtMs <= this.deps.clock.nowMs()) return undefined;
    return { id: robot.id, name: `robot ${robot.name}`, grants: robot.grants };
  }

  private async expect(name: string): Promise<StoredRecord<RobotRecord>> {
    const record = NAME.test(name) ? await this.deps.records.get<RobotRecord>(robotKey(name)) : undefined;
    if (record !== undefined) return record;
    throw new AppError('ROBOT_NOT_FOUND', `there is no robot ${name.slice(0, 100)}`, { kind: 'not-found' });
  }

  private async rewrite(name: string, change: (record: RobotRecord) => RobotRecord): Promise<RobotInfo> {
    for (;;) {
      const { value, version } = await this.expect(name);
      const changed = change(value);
      const result = await this.deps.records.put(robotKey(name), changed, { expect: { version } });
      if (result.outcome === 'written') return infoOf(changed);
    }
  }

  private settings({ description, grants, expiresInSeconds }: RobotSpec): Pick<RobotRecord, 'grants'> {
    checkGrants(grants);
    if (description !== undefined && description.length > LONGEST_DESCRIPTION) {
      throw invalid(`a description of ${description.length} characters`, `at most ${LONGEST_DESCRIPTION}`);
    }
    if (expiresInSeconds !== undefined && !(Number.isFinite(expiresInSeconds) && expiresInSeconds > 0)) {
      throw invalid(`a robot cannot expire in ${expiresInSeconds} s`, 'more than 0 seconds');
    }
    return {
      grants,
      ...(description === undefined ? {} : { description }),
      ...(expiresInSeconds === undefined
        ? {}
        : { expiresAtMs: this.deps.clock.nowMs() + Math.round(expiresInSeconds * 1000) }),
    };
  }

  private newSecret(): { readonly kept: RobotRecord['secrets'][number]; readonly shown: NewRobotSecret } {
    const secret = PREFIX + this.deps.ids.hex(RANDOM_BYTES);
    const id = this.deps.ids.ulid();
    return {
      kept: { id, hash: hashOf(secret), createdMs: this.deps.clock.nowMs() },
      shown: { secretId: id, secret },
    };
  }
}

function checkGrants(grants: readonly Grant[]): void {
  if (grants.length === 0 || grants.length > MAX_GRANTS) {
    throw invalid(`${grants.length} grants`, `1 to ${MAX_GRANTS}`);
  }
  for (const { repositories, actions } of grants) {
    checkRepositoryPattern(repositories);
    if (actions.length === 0) throw invalid(`the grant for ${repositories} allows nothing`, 'pull, push, delete');
  }
}

function infoOf(record: RobotRecord): RobotInfo {
  const { id: _, secrets, ...robot } = record;
  return { ...robot, secrets: secrets.map(({ id, createdMs }) => ({ id, createdMs })) };
}

function robotKey(name: string): RecordKey {
  return { partition: LIST, sort: name };
}

function secretKey(hash: string): RecordKey {
  return { partition: `ROBOTSECRET#${hash}`, sort: '-' };
}

function invalid(message: string, hint: string): AppError {
  return new AppError('ROBOT_INVALID', message, { hint });
}
