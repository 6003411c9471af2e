/** What stands at a path of a tree, looked for in its layers from the top down, as overlayfs does. */
import type { LaidLayer } from './laid-layer.js';
import { comparePaths } from './path-name.js';

/** A path of one layer. */
export interface Place {
  readonly layer: LaidLayer;
  /** Of the path, in the layer's list. */
  readonly row: number;
}

/** What stands at a path: the place whose entry shows, and of a folder those below it that show in it, from the top. */
export type Spot = readonly [Place, ...Place[]];

/** What a folder shows of a name. @param text holds the name, from `from` up to `end` */
export function childOf(folder: Spot, text: string, from = 0, end = text.length): Spot | undefined {
  let first: Place | undefined;
  const below: Place[] = [];
  for (const { layer, row: above } of folder) {
    const row = layer.paths.child(above, text, from, end);
    if (row !== undefined && layer.stands(row)) {
      const isFolder = layer.isFolder(row);
      if (first === undefined && !isFolder) return [{ layer, row }];
      if (!isFolder) break;
      if (first === undefined) first = { layer, row };
      else below.push({ layer, row });
      if (layer.isOpaque(row)) break;
    }
    if (layer.hides(above, text.slice(from, end))) break;
  }
  return first === undefined ? undefined : [first, ...below];
}

/** What stands at exactly this path; links are not followed. */
export function find(root: Spot, path: string): Spot | undefined {
  let spot: Spot | undefined = root;
  for (let from = 0; from < path.length && spot !== undefined;) {
    const slash = path.indexOf('/', from);
    const end = slash < 0 ? path.length : slash;
    spot = isFolder(spot) ? childOf(spot, path, from, end) : undefined;
    from = end + 1;
  }
  return spot;
}

export function isFolder([place]: Spot): boolean {
  return place.layer.isFolder(place.row);
}

/** What a folder shows, in the order of layers. */
export function* childrenOf(folder: Spot): Generator<readonly [name: string, spot: Spot]> {
  const [{ layer, row: only }, ...below] = folder;
  if (below.length === 0) {
    for (const row of layer.paths.sorted(only)) if (layer.stands(row)) yield [layer.paths.name(row), [{ layer, row }]];
    return;
  }
  const seen = new Set<string>();
  for (const { layer: each, row: above } of folder) {
    for (const row of each.paths.children(above)) if (each.stands(row)) seen.add(each.paths.name(row));
  }
  for (const name of [...seen].sort(comparePaths)) {
    const spot = childOf(folder, name);
    if (spot !== undefined) yield [name, spot];
  }
}
