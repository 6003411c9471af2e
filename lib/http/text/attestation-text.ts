/** Attestations in the short form of queries and command lines: `type=provenance,mode=max`, as with docker. */
import type { BuildAttestations, BuildProvenance, BuildSbom } from '../../build/index.js';
import { AppError } from '../../errors/index.js';

type Parameters = ReadonlyMap<string, string>;

/** @throws AppError ATTESTATION_INVALID */
export function attestationsOf(texts: readonly string[]): BuildAttestations {
  const all = texts.map((text) => ({ text, parameters: parametersOf(text) }));
  const types = new Set<string>();
  let wanted: BuildAttestations = {};
  for (const { text, parameters } of all) {
    const { type = '', ...own } = Object.fromEntries(parameters);
    if (types.has(type)) throw invalid(text, `asks for ${type} once more`, 'each type once');
    types.add(type);
    if (type !== 'provenance' && type !== 'sbom') {
      throw invalid(text, `has the type ${JSON.stringify(type)}`, 'type=provenance or type=sbom');
    }
    const { disabled, 'oci-artifact': artifact, ...rest } = own;
    if (artifact !== undefined) wanted = { ...wanted, ociArtifact: flagOf(text, 'oci-artifact', artifact) };
    if (disabled !== undefined && flagOf(text, 'disabled', disabled)) continue;
    if (type === 'provenance') wanted = { ...wanted, provenance: provenanceOf(text, rest) };
    else wanted = { ...wanted, sbom: sbomOf(text, rest) };
  }
  return wanted;
}

function provenanceOf(text: string, parameters: Readonly<Record<string, string>>): BuildProvenance {
  const { mode, version = 'v1', 'builder-id': builderId, reproducible, ...others } = parameters;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) {
    throw invalid(text, `has ${unknown}`, 'mode, version, builder-id, reproducible, oci-artifact, disabled');
  }
  if (mode !== undefined && mode !== 'min' && mode !== 'max') throw invalid(text, `has mode=${mode}`, 'min or max');
  if (version !== 'v1') throw invalid(text, `has version=${version}`, 'v1: the older v0.2 is not offered');
  return {
    ...(mode === undefined ? {} : { mode }),
    ...(builderId === undefined ? {} : { builderId }),
    ...(reproducible === undefined ? {} : { reproducible: flagOf(text, 'reproducible', reproducible) }),
  };
}

/** What is no generator is for it, as with docker. */
function sbomOf(text: string, parameters: Readonly<Record<string, string>>): BuildSbom {
  const { generator, ...others } = parameters;
  const odd = Object.keys(others).find((name) => !/^[A-Z][A-Z0-9_]*$/.test(name));
  if (odd !== undefined) throw invalid(text, `has ${odd}`, 'generator=<image>, and parameters of it in capitals');
  return {
    ...(generator === undefined ? {} : { generator }),
    ...(Object.keys(others).length === 0 ? {} : { parameters: others }),
  };
}

function parametersOf(text: string): Parameters {
  const pairs = text.split(',').map((field): [string, string] => {
    const at = field.indexOf('=');
    if (at < 1) throw invalid(text, `has ${JSON.stringify(field)}`, 'type=provenance,mode=max');
    return [field.slice(0, at), field.slice(at + 1)];
  });
  return new Map(pairs);
}

function flagOf(text: string, name: string, value: string): boolean {
  if (value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0') return false;
  throw invalid(text, `has ${name}=${value}`, 'true or false');
}

function invalid(text: string, why: string, accepted: string): AppError {
  return new AppError('ATTESTATION_INVALID', `the attestation ${JSON.stringify(text)} ${why}`, { hint: accepted });
}
