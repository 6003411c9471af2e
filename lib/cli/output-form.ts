/** What `-o` says of the image itself, in docker's words: its names, its compression, its media types. */
import type { AppError } from '../errors/index.js';

export interface OutputForm {
  readonly tags?: readonly string[];
  /** `zstd:3` */
  readonly compression?: string;
  readonly forceCompression?: boolean;
  readonly mediaTypes?: 'oci' | 'docker';
}

export const FORM_FIELDS: readonly string[] = [
  'name',
  'push',
  'compression',
  'compression-level',
  'force-compression',
  'oci-mediatypes',
  'rewrite-timestamp',
];

type Fields = ReadonlyMap<string, string>;
type Refuse = (why: string) => AppError;

/** @throws AppError OUTPUT_INVALID */
export function outputForm(fields: Fields, refuse: Refuse): OutputForm {
  const isSet = (name: string): boolean | undefined => {
    const text = fields.get(name);
    if (text === undefined || /^(true|1)$/.test(text)) return text === undefined ? undefined : true;
    if (/^(false|0)$/.test(text)) return false;
    throw refuse(`${name} is true or false`);
  };
  // Times follow SOURCE_DATE_EPOCH wherever it is given; what is made goes where its name says.
  if (isSet('rewrite-timestamp') === false) throw refuse('times are always rewritten where SOURCE_DATE_EPOCH is given');
  if (isSet('push') === false) throw refuse('an image without a name is pushed nowhere: leave name out');
  const names = (fields.get('name') ?? '').split(',').filter((name) => name !== '');
  const isOci = isSet('oci-mediatypes');
  const compression = compressionOf(fields, refuse);
  return {
    ...(names.length === 0 ? {} : { tags: names }),
    ...(compression === undefined ? {} : { compression }),
    ...(isSet('force-compression') === true ? { forceCompression: true } : {}),
    ...(isOci === undefined ? {} : { mediaTypes: isOci ? ('oci' as const) : ('docker' as const) }),
  };
}

function compressionOf(fields: Fields, refuse: Refuse): string | undefined {
  const [type, level] = [fields.get('compression'), fields.get('compression-level')];
  if (type === undefined) {
    if (level === undefined) return undefined;
    throw refuse('compression-level is without compression');
  }
  const known = { gzip: 'gzip', zstd: 'zstd', uncompressed: 'none' }[type];
  if (known === undefined) throw refuse(`compression ${JSON.stringify(type)} is not gzip, zstd or uncompressed`);
  if (level !== undefined && !/^\d{1,2}$/.test(level)) throw refuse('compression-level is a number');
  return level === undefined ? known : `${known}:${level}`;
}

/** One image is made, so all outputs must agree; what an option of its own says goes first. */
export function withForms<T extends OutputForm & { readonly tags: readonly string[] }>(
  input: T,
  forms: readonly OutputForm[],
  refuse: Refuse,
): T {
  const { tags, ...own } = input;
  const all = new Map<string, unknown>(Object.entries(own));
  const given = new Set(
    ['compression', 'forceCompression', 'mediaTypes'].filter((name) => all.get(name) !== undefined),
  );
  for (const { tags: _, ...form } of forms) {
    for (const [name, value] of Object.entries(form)) {
      if (given.has(name)) continue;
      if (all.has(name) && all.get(name) !== value) throw refuse(`two outputs want another ${name}`);
      all.set(name, value);
    }
  }
  const names = [...new Set([...tags, ...forms.flatMap((form) => form.tags ?? [])])];
  return { ...input, ...Object.fromEntries(all), tags: names };
}
