/**
 * What the image of build workers is made of, over a base that has the programs: the worker's bundle, and the lines of a
 * Dockerfile with nothing but COPY. Without CDK, since the script that makes the image by hand puts it together too.
 */
import { programBundle } from './program-bundle.js';

export const WORKER_BUNDLE = 'build-worker.mjs';

/** The lines after FROM. Whatever user the base has: mounts and namespaces are root's. */
export const WORKER_LINES: readonly string[] = [
  'USER 0:0',
  `COPY --chmod=644 ${WORKER_BUNDLE} /worker/${WORKER_BUNDLE}`,
  `ENTRYPOINT ["node", "/worker/${WORKER_BUNDLE}"]`,
];

/** The files that those lines copy, by their paths in the context. */
export function workerFiles(): Readonly<Record<string, string>> {
  return { [WORKER_BUNDLE]: programBundle('lib/host/aws/build-worker-main', 'node20') };
}

/** All of the context of an image over this base. */
export function workerContextOver(base: string): Readonly<Record<string, string>> {
  return { ...workerFiles(), Dockerfile: [`FROM ${base}`, ...WORKER_LINES, ''].join('\n') };
}
