/**
 * What a scanner left, as attestations: each file is an in-toto statement. That of the image itself comes first, then those
 * of other stages and the context, by name.
 */
import { AppError } from '../../errors/index.js';
import type { ImageTree, TreeEntry } from '../../layers/index.js';
import type { Attestation, Subject } from '../export/export-attestations.js';
import { CORE_SCAN, SCAN_RESULT } from '../plan/sbom-scan.js';

/** BuildKit's bound for one file. */
const MAX_BYTES = 40 * 1024 * 1024;

/** @throws AppError BUILD_SBOM_INVALID */
export async function sbomAttestations(tree: ImageTree): Promise<readonly Attestation[]> {
  const entries = [...(tree.list(SCAN_RESULT) ?? [])];
  if (entries.length === 0) throw invalid('it is nothing', `statements in /${SCAN_RESULT}/<scan>.spdx.json`);
  const isCore = (name: string): boolean => name.split('.')[0] === CORE_SCAN;
  const core = entries.filter((entry) => isCore(nameOf(entry)));
  const others = entries.filter((entry) => !isCore(nameOf(entry)));
  const found: Attestation[] = [];
  for (const entry of [...core, ...others]) found.push(parse(nameOf(entry), await read(tree, entry)));
  return found;
}

function nameOf({ path }: TreeEntry): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

async function read(tree: ImageTree, entry: TreeEntry): Promise<string> {
  if (entry.type !== 'file') throw invalid(`${nameOf(entry)} is a ${entry.type}`, 'files only');
  if (entry.sizeBytes > MAX_BYTES) {
    throw invalid(`${nameOf(entry)} has ${entry.sizeBytes} bytes`, `at most ${MAX_BYTES} in a file`);
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of tree.readFile(entry.path)) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function parse(name: string, text: string): Attestation {
  let statement: { readonly predicateType?: unknown; readonly predicate?: unknown; readonly subject?: unknown };
  try {
    statement = JSON.parse(text);
  } catch {
    throw invalid(`${name} is not JSON`, 'one in-toto statement in each file');
  }
  const { predicateType, predicate, subject } = statement ?? {};
  if (typeof predicateType !== 'string' || predicateType === '' || predicate === undefined) {
    throw invalid(`${name} is no in-toto statement: it has no predicateType and predicate`, 'an in-toto statement');
  }
  // Where an image comes from is said by its builder alone.
  if (predicateType.startsWith('https://slsa.dev/provenance/')) {
    throw invalid(`${name} is a provenance`, 'https://spdx.dev/Document');
  }
  const subjects = Array.isArray(subject) ? subject.filter(isSubject) : [];
  return { file: name, predicateType, predicate, ...(subjects.length === 0 ? {} : { subjects }) };
}

function isSubject(value: unknown): value is Subject {
  if (typeof value !== 'object' || value === null || !('name' in value) || !('digest' in value)) return false;
  return typeof value.name === 'string' && typeof value.digest === 'object' && value.digest !== null;
}

function invalid(why: string, accepted: string): AppError {
  return new AppError('BUILD_SBOM_INVALID', `what the SBOM generator left cannot be attested: ${why}`, {
    kind: 'failed',
    hint: accepted,
  });
}
