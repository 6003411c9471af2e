/**
 * Listings written by hand, for what the classic builder cannot build. One line per file that the case adds to its
 * base or changes, in any order:
 *   directory 0755 0:0 /app
 *   file 0644 0:0 /app/a.txt "content\n"          (content as a JSON string; "..." left out: any content)
 *   symlink 0:0 /app/link -> target
 *   deleted /etc/motd
 *   config.Env ["A=1"]                            (only the config fields that matter to the case)
 *   refused BUILD_SOME_CODE                       (instead of all others: the build must fail with it)
 */
import { createHash } from 'node:crypto';
import type { ImageConfig } from '../../lib/oci/index.js';
import type { Difference } from './compare.js';
import type { ListedFile, Listing } from './listing.js';

/** The code a build must be refused with; undefined when it must work. */
export function expectedRefusal(expected: readonly string[]): string | undefined {
  return expected[0]?.startsWith('refused ') === true ? expected[0].slice('refused '.length) : undefined;
}

export function compareByHand(
  expected: readonly string[],
  built: { readonly listing: Listing; readonly config: ImageConfig },
  base: Listing,
): readonly Difference[] {
  const wanted = expected.filter((line) => !line.startsWith('config.')).map(parse);
  const actual = new Map(changes(built.listing, base));
  const differences: Difference[] = [];
  for (const { path, line, content } of wanted) {
    const found = actual.get(path);
    actual.delete(path);
    const full = content === undefined ? line : `${line} ${content}`;
    const seen =
      found === undefined ? 'nothing' : content === undefined ? found.line : `${found.line} ${found.content}`;
    if (seen !== full) differences.push({ subject: path, field: 'by hand', docker: full, wharf: seen });
  }
  for (const [path, { line }] of actual) {
    differences.push({ subject: path, field: 'by hand', docker: 'not in the listing', wharf: line });
  }
  for (const line of expected.filter((each) => each.startsWith('config.'))) {
    const at = line.indexOf(' ');
    const field = line.slice('config.'.length, at);
    const value = JSON.stringify((built.config.config as Record<string, unknown> | undefined)?.[field] ?? null);
    const want = JSON.stringify(JSON.parse(line.slice(at + 1)));
    if (value !== want) differences.push({ subject: `config.${field}`, field: 'by hand', docker: want, wharf: value });
  }
  for (const problem of built.listing.problems) {
    differences.push({ subject: 'layers', field: 'problem', docker: '', wharf: problem });
  }
  return differences;
}

interface Line {
  readonly path: string;
  readonly line: string;
  readonly content: string | undefined;
}

function parse(text: string): Line {
  const match =
    /^(?<line>(?:(?:directory|file) \d{4} \d+:\d+|symlink \d+:\d+|deleted) (?<path>\/.*?))(?<content> ".*")?$/.exec(
      text,
    );
  const { line, path, content } = match?.groups ?? {};
  if (line === undefined || path === undefined) throw new Error(`not a line of a listing: ${text}`);
  const digest = content === undefined ? undefined : sha256(JSON.parse(content.trim()) as string);
  return { line, path: path.replace(/ -> .*$/, ''), content: digest };
}

function* changes(listing: Listing, base: Listing): Generator<[string, { line: string; content: string }]> {
  for (const [path, file] of listing.files) {
    const line = lineOf(path, file);
    const content = file.sha256 ?? '';
    const standing = base.files.get(path);
    if (standing !== undefined && lineOf(path, standing) === line && (standing.sha256 ?? '') === content) continue;
    yield [path, { line, content }];
  }
  for (const path of base.files.keys()) {
    if (!listing.files.has(path)) yield [path, { line: `deleted ${path}`, content: '' }];
  }
}

function lineOf(path: string, file: ListedFile): string {
  const owner = `${file.uid}:${file.gid}`;
  if (file.type === 'symlink') return `symlink ${owner} ${path} -> ${file.link}`;
  return `${file.type} ${file.mode.toString(8).padStart(4, '0')} ${owner} ${path}`;
}

function sha256(content: string): string {
  return createHash('sha256').update(content).digest('hex');
}
