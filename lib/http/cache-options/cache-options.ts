/**
 * `--cache-from` and `--cache-to` in the form of docker's command line: `type=registry,ref=…,mode=max`. A word without
 * `=` is a reference. What is not known is refused by its name.
 */
import type { CacheForm, CacheSource, CacheTarget } from '../../build/index.js';
import { csvFields, goBool } from '../../dockerfile/index.js';
import { AppError } from '../../errors/index.js';

export type CacheOption = 'cache-from' | 'cache-to';

const FORM = ['mode', 'image-manifest', 'oci-mediatypes', 'ignore-error'];
/** What each type takes beside its name, as docker's client has it. */
const ATTRIBUTES: Readonly<Record<CacheOption, Readonly<Record<string, readonly string[]>>>> = {
  'cache-from': { registry: ['ref'], local: ['src', 'tag', 'digest'] },
  'cache-to': {
    registry: ['ref', ...FORM],
    local: ['dest', 'tag', 'reset', ...FORM],
    inline: ['mode', 'ignore-error'],
  },
};
const ACCEPTED: Readonly<Record<CacheOption, string>> = {
  'cache-from': 'a reference, type=registry,ref=<name> or type=local,src=<folder>[,tag=<tag>]',
  'cache-to':
    'a reference, type=registry,ref=<name>, type=local,dest=<folder> or type=inline, with mode=min|max, image-manifest, oci-mediatypes, ignore-error',
};
/** Of other builders: known, and not offered. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  gha: 'the cache service of GitHub Actions speaks to its own runners: type=registry,ref=ghcr.io/<name>',
  azblob: 'type=registry at a registry in that cloud',
  s3: 'the store of a platform on AWS is in S3 already and shared by its builders; between platforms type=registry',
};

/** Each cache by itself: references may stand in one word, with commas, and an empty word names none. */
export function cacheTexts(words: readonly string[]): readonly string[] {
  return words.flatMap((word) => (word.includes('=') ? [word] : word.split(','))).filter((word) => word !== '');
}

/** The attributes of an option, checked for their names. @throws AppError CACHE_OPTION_INVALID, CACHE_UNSUPPORTED_… */
export function cacheFields(option: CacheOption, text: string): ReadonlyMap<string, string> {
  if (!text.includes('=')) return new Map(Object.entries({ type: 'registry', ref: text }));
  const fields = new Map<string, string>();
  for (const field of csvFields(text)) {
    const equals = field.indexOf('=');
    const name = field.slice(0, Math.max(equals, 0)).trim().toLowerCase();
    if (name === '') throw refusal(option, text, `${JSON.stringify(field)} is not name=value`);
    fields.set(name, field.slice(equals + 1));
  }
  const type = fields.get('type');
  if (type === undefined) throw refusal(option, text, 'its type is missing');
  const elsewhere = Object.hasOwn(ELSEWHERE, type) ? ELSEWHERE[type] : undefined;
  if (elsewhere !== undefined) {
    throw new AppError(`CACHE_UNSUPPORTED_${type.toUpperCase()}`, `--${option} of type ${type} is not offered`, {
      kind: 'unsupported',
      hint: elsewhere,
    });
  }
  const known = Object.hasOwn(ATTRIBUTES[option], type) ? ATTRIBUTES[option][type] : undefined;
  if (known === undefined) throw refusal(option, text, `the type ${JSON.stringify(type)} is not known`);
  const unknown = [...fields.keys()].find((name) => name !== 'type' && !known.includes(name));
  if (unknown !== undefined) throw refusal(option, text, whyNot(unknown, type), `${known.join(', ')} of type=${type}`);
  return fields;
}

function whyNot(name: string, type: string): string {
  if (name.startsWith('compression') || name === 'force-compression') {
    return `${JSON.stringify(name)} is that of the build's own layers: --compression`;
  }
  return `${JSON.stringify(name)} is no attribute of type=${type}`;
}

/** What can be said without a folder. @throws AppError CACHE_OPTION_INVALID, CACHE_UNSUPPORTED_… */
export function cacheSourceOf(text: string): CacheSource {
  const fields = cacheFields('cache-from', text);
  if (fields.get('type') === 'registry') return { type: 'registry', ref: needed('cache-from', text, fields, 'ref') };
  const accepted = 'as JSON, with the digest of a context that is the folder: {"type":"local","layout":"sha256:…"}';
  throw refusal('cache-from', text, 'a query cannot name a folder', accepted);
}

/** Of a folder the form; where it is belongs to whoever has it. @throws AppError CACHE_OPTION_INVALID, CACHE_UNSUPPORTED_… */
export function cacheTargetOf(text: string): CacheTarget {
  const fields = cacheFields('cache-to', text);
  const form = formOf(text, fields);
  if (fields.get('type') === 'registry') {
    return { type: 'registry', ref: needed('cache-to', text, fields, 'ref'), ...form };
  }
  if (fields.get('type') === 'local') return { type: 'local', ...form };
  if (form.mode !== 'max') return { type: 'inline' };
  throw refusal('cache-to', text, 'an image holds its own layers only', 'mode=min, or another type for mode=max');
}

/** @throws AppError CACHE_OPTION_INVALID */
export function needed(option: CacheOption, text: string, fields: ReadonlyMap<string, string>, name: string): string {
  const value = fields.get(name);
  if (value === undefined || value === '') throw refusal(option, text, `${name} is missing`);
  return value;
}

function formOf(text: string, fields: ReadonlyMap<string, string>): CacheForm {
  const mode = fields.get('mode');
  if (mode !== undefined && mode !== 'min' && mode !== 'max') {
    throw refusal('cache-to', text, `mode is ${JSON.stringify(mode)}`, 'mode=min or mode=max');
  }
  const imageManifest = truth(text, fields, 'image-manifest');
  const ociMediaTypes = truth(text, fields, 'oci-mediatypes');
  const ignoreError = truth(text, fields, 'ignore-error');
  return {
    ...(mode === undefined ? {} : { mode }),
    ...(imageManifest === undefined ? {} : { imageManifest }),
    ...(ociMediaTypes === undefined ? {} : { ociMediaTypes }),
    ...(ignoreError === undefined ? {} : { ignoreError }),
  };
}

function truth(text: string, fields: ReadonlyMap<string, string>, name: string): boolean | undefined {
  const value = fields.get(name);
  const said = value === undefined ? undefined : goBool(value);
  if (value !== undefined && said === undefined) {
    throw refusal('cache-to', text, `${name} is ${JSON.stringify(value)}`, `${name}=true or ${name}=false`);
  }
  return said;
}

/** @throws AppError CACHE_OPTION_INVALID */
export function isTrue(text: string, fields: ReadonlyMap<string, string>, name: string): boolean {
  return truth(text, fields, name) === true;
}

function refusal(option: CacheOption, text: string, why: string, accepted = ACCEPTED[option]): AppError {
  return new AppError('CACHE_OPTION_INVALID', `--${option} ${JSON.stringify(text)}: ${why}`, { hint: accepted });
}
