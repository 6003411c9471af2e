/** What is different between two images, file by file and field by field. */
import type { ImageConfig } from '../../lib/oci/index.js';
import type { ListedFile, Listing } from './listing.js';

export interface Difference {
  /** `/path` of a file, or `config.Env`. */
  readonly subject: string;
  /** `entry` when only one side has it; else the field. */
  readonly field: string;
  /** Type of our file, or docker's where we have none; absent for what is no file. */
  readonly type?: string;
  readonly docker: string;
  readonly wharf: string;
}

/** Times from here on are "when it was built": the builds run one after the other. 2025-01-01. */
const BUILT_SINCE = 1_735_689_600;
const FIELDS = ['type', 'mode', 'owner', 'mtime', 'link', 'device', 'content', 'xattrs', 'names'] as const;
type Field = (typeof FIELDS)[number];
const CONFIG_FIELDS = [
  'Env',
  'Cmd',
  'Entrypoint',
  'WorkingDir',
  'User',
  'ExposedPorts',
  'Volumes',
  'Labels',
  'StopSignal',
  'Healthcheck',
  'Shell',
  'OnBuild',
  'ArgsEscaped',
] as const;

export function compareListings(docker: Listing, wharf: Listing): readonly Difference[] {
  const differences: Difference[] = [];
  const paths = [...new Set([...docker.files.keys(), ...wharf.files.keys()])].sort();
  for (const subject of paths) {
    const ours = wharf.files.get(subject);
    const theirs = docker.files.get(subject);
    if (ours === undefined || theirs === undefined) {
      const there = (file: ListedFile | undefined): string => (file === undefined ? 'absent' : describe(file));
      const type = (ours ?? theirs)?.type ?? '';
      differences.push({ subject, field: 'entry', type, docker: there(theirs), wharf: there(ours) });
      continue;
    }
    for (const field of FIELDS) {
      const [theirValue, ourValue] = [READ[field](theirs), READ[field](ours)];
      if (theirValue !== ourValue)
        differences.push({ subject, field, type: ours.type, docker: theirValue, wharf: ourValue });
    }
  }
  for (const problem of wharf.problems) {
    differences.push({ subject: 'layers', field: 'problem', docker: '', wharf: problem });
  }
  return differences;
}

function describe(file: ListedFile): string {
  return [file.type, READ.mode(file), READ.owner(file)].join(' ');
}

const READ: Readonly<Record<Field, (file: ListedFile) => string>> = {
  type: (file) => file.type,
  // A link's own mode means nothing on Linux.
  mode: (file) => (file.type === 'symlink' ? '' : file.mode.toString(8).padStart(4, '0')),
  owner: (file) => `${file.uid}:${file.gid}`,
  mtime: (file) => (file.mtime >= BUILT_SINCE ? 'when it was built' : String(file.mtime)),
  link: (file) => file.link ?? '',
  device: (file) => file.device ?? '',
  content: (file) => (file.sha256 === undefined ? '' : `${file.size} bytes, sha256 ${file.sha256}`),
  xattrs: (file) => JSON.stringify(file.xattrs ?? {}),
  names: (file) => (file.names ?? []).join(' = '),
};

export function compareConfigs(docker: ImageConfig, wharf: ImageConfig): readonly Difference[] {
  const differences: Difference[] = [];
  const add = (subject: string, theirs: unknown, ours: unknown): void => {
    const [dockerText, wharfText] = [canonical(theirs), canonical(ours)];
    if (dockerText !== wharfText) differences.push({ subject, field: 'value', docker: dockerText, wharf: wharfText });
  };
  for (const field of CONFIG_FIELDS) {
    const of = (config: ImageConfig): unknown => (config.config as Record<string, unknown> | undefined)?.[field];
    add(`config.${field}`, of(docker), of(wharf));
  }
  for (const field of ['os', 'architecture', 'author'] as const) add(field, docker[field], wharf[field]);
  const history = (config: ImageConfig): string => {
    const entries = config.history ?? [];
    const empty = entries.filter((entry) => entry.empty_layer === true).length;
    return `${entries.length} entries, ${empty} without a layer`;
  };
  add('history', history(docker), history(wharf));
  const layered = (config: ImageConfig): number =>
    (config.history ?? []).filter((entry) => entry.empty_layer !== true).length;
  if (layered(wharf) !== wharf.rootfs.diff_ids.length) {
    add('layers', `${layered(wharf)} as the history says`, `${wharf.rootfs.diff_ids.length} in rootfs`);
  }
  return differences;
}

/** Absent, null and empty are one: docker writes each of them for the same. */
function canonical(value: unknown): string {
  if (value === null || value === undefined || value === '' || value === false) return '';
  if (Array.isArray(value)) return value.length === 0 ? '' : JSON.stringify(value);
  if (typeof value !== 'object') return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return members.length === 0 ? '' : JSON.stringify(Object.fromEntries(members));
}
