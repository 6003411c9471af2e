/** What the RUN steps of an image fetched through their proxies, also those that came from the cache, for its provenance. */
import type { ContentStore } from '../../store/index.js';
import type { ProxyMaterial, ProxyRecord } from '../proxy/proxy-capture.js';
import type { KnownStep } from '../solve/solve-input.js';
import type { RunOp, Step } from '../plan/steps.js';

/** A request whose content is not among the materials, under BuildKit's names. */
export interface UncapturedRequest {
  readonly name: string;
  readonly method?: string;
  readonly uri?: string;
  readonly reason: string;
}

export interface ProxyFetches {
  readonly materials: readonly ProxyMaterial[];
  readonly incomplete: readonly UncapturedRequest[];
}

export function usesProxy(op: Step['op']): op is RunOp {
  return op.kind === 'run' && op.settings?.proxyNetwork === true && op.network !== 'none';
}

/** @returns undefined when no step had a proxy */
export async function proxyFetches(
  content: Pick<ContentStore, 'read'>,
  known: readonly KnownStep[],
): Promise<ProxyFetches | undefined> {
  const materials: ProxyMaterial[] = [];
  const incomplete: UncapturedRequest[] = [];
  const proxied = known.filter(({ planned }) => usesProxy(planned.op));
  for (const { planned, step } of proxied) {
    const name = planned.instruction;
    const bytes = step.fetches === undefined ? undefined : await content.read(step.fetches);
    if (bytes === undefined) {
      incomplete.push({ name, reason: 'not_recorded' });
      continue;
    }
    const record = JSON.parse(bytes.toString('utf8')) as ProxyRecord;
    materials.push(...record.materials);
    incomplete.push(...record.incomplete.map(({ method, url, reason }) => ({ name, method, uri: url, reason })));
  }
  return proxied.length === 0 ? undefined : { materials, incomplete };
}
