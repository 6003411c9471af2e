/** The value of `RUN --mount=…`, as BuildKit's commands_runmount.go reads it. */
import { csvFields } from './csv.js';
import { refusal } from '../errors.js';
import { nearest } from '../suggestion.js';

export type MountType = 'bind' | 'cache' | 'tmpfs' | 'secret' | 'ssh';
export type CacheSharing = 'shared' | 'private' | 'locked';

export interface Mount {
  readonly type: MountType;
  /** Stage, image or named context; the build context (or an empty folder, for a cache) when absent. */
  readonly from?: string;
  readonly source?: string;
  readonly target?: string;
  readonly readOnly: boolean;
  /** Bytes, tmpfs only. */
  readonly sizeBytes?: number;
  /** Of a cache, secret or ssh socket. */
  readonly id?: string;
  readonly sharing?: CacheSharing;
  readonly required: boolean;
  /** Environment variable a secret goes into. */
  readonly env?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

const TYPES: readonly MountType[] = ['bind', 'cache', 'tmpfs', 'secret', 'ssh'];
const SHARINGS: readonly CacheSharing[] = ['shared', 'private', 'locked'];
const KEYS = [
  'type from source src target dst destination readonly ro readwrite rw',
  'id sharing required size mode uid gid env',
].flatMap((line) => line.split(' '));

type Draft = { -readonly [Key in keyof Mount]: Mount[Key] } & { readOnlyGiven: boolean };

/** What can be said of a mount before variables are known: it must be comma-separated, and `from` has none. */
export function checkMount(value: string): void {
  for (const field of csvFields(value)) {
    const [key, text] = cut(field);
    if (key !== 'from' || text === undefined) continue;
    const dollar = text.indexOf('$');
    if (dollar >= 0 && dollar !== text.length - 1) {
      throw refusal('DOCKERFILE_MOUNT', '"from" of a mount takes no variables', {
        hint: 'give the image a stage name with FROM … AS <name>, and mount from that',
        word: field,
      });
    }
  }
}

/**
 * @param expand puts variables into each value; left out, values are taken as they stand
 * @throws AppError DOCKERFILE_MOUNT, DOCKERFILE_CSV, and what `expand` throws
 */
export function parseMount(value: string, expand: (word: string) => string = (word) => word): Mount {
  const draft: Draft = { type: 'bind', readOnly: false, required: false, readOnlyGiven: false };
  for (const field of csvFields(value)) readField(draft, field, expand);
  return finish(draft, value);
}

function readField(draft: Draft, field: string, expand: (word: string) => string): void {
  const [key, written] = cut(field);
  const refuse = (what: string, hint?: string): Error =>
    refusal('DOCKERFILE_MOUNT', what, { word: field, ...(hint === undefined ? {} : { hint }) });
  const onlyFor = (...types: readonly MountType[]): void => {
    if (!types.includes(draft.type)) {
      throw refuse(
        `mount type "${draft.type}" has no "${key}"`,
        `it belongs to ${types.join(' and ')}; write type first`,
      );
    }
  };
  if (written === undefined && !/^(readonly|ro|readwrite|rw|required)$/.test(key)) {
    throw refuse(`"${field}" is no key=value pair`, `keys: ${KEYS.join(', ')}`);
  }
  const text = written === undefined ? 'true' : expand(written);
  const flag = (): boolean => {
    if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
    if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false;
    throw refuse(`"${key}" is true or false, not "${text}"`);
  };
  const number = (digits: RegExp, radix: number): number => {
    const parsed = digits.test(text) ? Number.parseInt(text, radix) : Number.NaN;
    if (!(parsed <= 0xffff_ffff)) throw refuse(`"${text}" is no ${key}`, radix === 8 ? 'octal, like 0755' : 'a number');
    return parsed;
  };
  const oneOf = <T extends string>(options: readonly T[], what: string): T => {
    const known = options.find((option) => option === text.toLowerCase());
    if (known === undefined) {
      const near = nearest(text, options);
      throw refuse(
        `${what} "${text}" is not known`,
        `${near === undefined ? '' : `did you mean ${near}? `}one of ${options.join(', ')}`,
      );
    }
    return known;
  };
  switch (key) {
    case 'type':
      draft.type = oneOf(TYPES, 'mount type');
      break;
    case 'from':
      draft.from = text;
      break;
    case 'source':
    case 'src':
      draft.source = text;
      break;
    case 'target':
    case 'dst':
    case 'destination':
      draft.target = text;
      break;
    case 'readonly':
    case 'ro':
      draft.readOnly = flag();
      draft.readOnlyGiven = true;
      break;
    case 'readwrite':
    case 'rw':
      draft.readOnly = !flag();
      draft.readOnlyGiven = true;
      break;
    case 'required':
      onlyFor('secret', 'ssh');
      draft.required = flag();
      break;
    case 'size':
      onlyFor('tmpfs');
      draft.sizeBytes = parseSize(text) ?? raise(refuse(`"${text}" is no size`, 'for example 64m or 1GiB'));
      break;
    case 'id':
      draft.id = text;
      break;
    case 'sharing':
      draft.sharing = oneOf(SHARINGS, 'sharing');
      break;
    case 'mode':
      draft.mode = number(/^[0-7]+$/, 8);
      break;
    case 'uid':
    case 'gid':
      draft[key] = number(/^\d+$/, 10);
      break;
    case 'env':
      draft.env = text;
      break;
    default: {
      const near = nearest(key, KEYS, 'exact');
      throw refuse(
        `a mount has no "${key}"`,
        `${near === undefined ? '' : `did you mean ${near}? `}keys: ${KEYS.join(', ')}`,
      );
    }
  }
}

function finish({ readOnlyGiven, ...mount }: Draft, value: string): Mount {
  const { type } = mount;
  const refuse = (what: string, hint: string): Error => refusal('DOCKERFILE_MOUNT', what, { hint, word: value });
  if (type === 'bind' || type === 'tmpfs') {
    for (const key of ['mode', 'uid', 'gid'] as const) {
      if (mount[key] !== undefined)
        throw refuse(`mount type "${type}" has no "${key}"`, 'it belongs to cache, secret and ssh');
    }
  }
  if (type === 'secret') {
    if (mount.from) throw refuse('a secret mount has no "from"', 'remove it');
    if (!mount.source && !mount.target && !mount.id) throw refuse('a secret mount names no secret', 'add id=<secret>');
    if (mount.source && mount.id) throw refuse('a secret mount has both "source" and "id"', 'keep id');
  }
  if (mount.sharing !== undefined && type !== 'cache') {
    throw refuse(`mount type "${type}" has no "sharing"`, 'it belongs to cache');
  }
  return readOnlyGiven ? mount : { ...mount, readOnly: type !== 'cache' && type !== 'tmpfs' };
}

function cut(field: string): [string, string | undefined] {
  const equals = field.indexOf('=');
  if (equals < 0) return [field.toLowerCase(), undefined];
  return [field.slice(0, equals).toLowerCase(), field.slice(equals + 1)];
}

const SIZE_UNITS = 'kmgtp';

/** Bytes of `64m`, `1.5GiB`, `100`, `10 MB`, all counted in 1024s; undefined when it is none. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d*)?|\.\d+) ?(?:b|([kmgtp])(?:i?b)?)?$/i.exec(text);
  if (match === null) return undefined;
  const power = match[2] === undefined ? 0 : SIZE_UNITS.indexOf(match[2].toLowerCase()) + 1;
  return Math.trunc(Number(match[1]) * 1024 ** power);
}

function raise(error: Error): never {
  throw error;
}
