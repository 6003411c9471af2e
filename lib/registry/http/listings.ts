/** Listings: catalogue, tags (end-8a, 8b) and referrers (end-12a, 12b), all in pages that start after a name. */
import { AppError } from '../../errors/index.js';
import { MediaType, parseDigest } from '../../oci/index.js';
import { nameUnknown } from '../index.js';
import { type Headers, json, type Reply } from './replies.js';
import type { Call } from './types.js';

/** The most a page holds, whatever was asked: more comes by its Link. */
const MAX_PAGE = 10_000;
/** Longer than every name. */
const MAX_LAST = 300;

export async function listCatalog(call: Call): Promise<Reply> {
  const { n, after } = pageOf(call);
  if (n === 0) return json({ repositories: [] });
  const page = await call.deps.registry.catalog.list({ limit: n, ...after });
  return json({ repositories: page.items }, page.more ? link(call, { n: String(n), last: page.items.at(-1) }) : {});
}

export async function listTags(call: Call): Promise<Reply> {
  const { n, after } = pageOf(call);
  const { registry } = call.deps;
  const page =
    n === 0 ? { items: [], more: false } : await registry.tagList.list(call.repository, { limit: n, ...after });
  if (page.items.length === 0 && !(await registry.catalog.exists(call.repository))) throw nameUnknown(call.repository);
  const tags = page.items.map((entry) => entry.tag);
  return json({ name: call.repository, tags }, page.more ? link(call, { n: String(n), last: tags.at(-1) }) : {});
}

export async function listReferrers(call: Call): Promise<Reply> {
  const subject = parseDigest(call.reference);
  const artifactType = call.query.get('artifactType') ?? '';
  const last = call.query.get('last');
  const page = await call.deps.registry.referrers.list(call.repository, subject, {
    ...(artifactType === '' ? {} : { artifactType }),
    ...(last === null ? {} : { after: parseDigest(last) }),
  });
  const index = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: page.descriptors };
  return json(index, {
    'content-type': MediaType.ociIndex,
    ...(artifactType === '' ? {} : { 'oci-filters-applied': 'artifactType' }),
    ...(page.next === undefined ? {} : link(call, { artifactType: artifactType || undefined, last: page.next })),
  });
}

function pageOf(call: Call): { readonly n: number; readonly after: { readonly after?: string } } {
  const n = call.query.get('n');
  const last = call.query.get('last') ?? '';
  if (n !== null && !/^\d{1,15}$/.test(n)) {
    throw new AppError('PAGE_SIZE_INVALID', `n=${JSON.stringify(n.slice(0, 50))} is not a page size`, {
      hint: `0 to ${MAX_PAGE}`,
    });
  }
  if (last.length > MAX_LAST || /[^\x20-\x7e]/.test(last)) {
    throw new AppError('PAGE_START_INVALID', 'last= is not a name a page could start after', {
      hint: 'the last name of the page before',
    });
  }
  return { n: n === null ? MAX_PAGE : Math.min(Number(n), MAX_PAGE), after: last === '' ? {} : { after: last } };
}

/** The Link to the next page (RFC 8288), relative to this one. */
function link(call: Call, query: Readonly<Record<string, string | undefined>>): Headers {
  const all = { ns: call.query.get('ns') ?? undefined, ...query };
  const given = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const path = new URL(call.request.url).pathname;
  return { link: `<${path}?${new URLSearchParams(given).toString()}>; rel="next"` };
}
