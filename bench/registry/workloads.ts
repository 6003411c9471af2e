/**
 * The workloads of zb (project zot), by its names, with its shapes; `unique` beside `same`; and single reads, which are
 * what a registry answers most. What a workload needs to be there is made before the clock starts.
 */
import type { LoadClient } from './client.js';
import {
  ImageMaker,
  type Ingest,
  type LoadImage,
  MANIFEST_TYPE,
  pull,
  push,
  pushAllButTheEnd,
  type PushStyle,
} from './images.js';

/** One request as zb counts them: an image pushed or pulled, or a single request. */
export type Operation = () => Promise<Done>;

/** The bytes that went over; and how long the request took, where that is a part of the operation only. */
export type Done = number | { readonly bytes: number; readonly milliseconds: number };

export interface Workload {
  readonly name: string;
  readonly unit: 'img' | 'put' | 'req';
  /** Operations in a round, before the scale of the command line. */
  readonly count: number;
  /** Once for each peer, before its first round. */
  prepare(client: LoadClient): Promise<unknown>;
  /** Outside the clock, before each round: everything it takes to send the requests. */
  plan(client: LoadClient, prepared: unknown, count: number): readonly Operation[];
}

const MB = 1024 * 1024;
const SIZES = [
  { size: MB, label: '1MB', count: 100 },
  { size: 10 * MB, label: '10MB', count: 40 },
  { size: 100 * MB, label: '100MB', count: 8 },
] as const;
/** Images to pull from, in turn. */
const STOCK = 4;

const maker = new ImageMaker();

export function workloads(): readonly Workload[] {
  const ingests: readonly Ingest[] = ['same', 'unique'];
  const pushes = (style: PushStyle, label: string): Workload[] =>
    SIZES.flatMap(({ size, label: sized, count }) =>
      ingests.map((ingest) => pushing(`${label} ${sized} (${ingest})`, [[1, size]], count, style, ingest)),
    );
  const [one, ten, hundred] = SIZES.map(({ size }) => size);
  const mixed: Shares = [
    [0.2, one ?? 0],
    [0.7, ten ?? 0],
    [0.1, hundred ?? 0],
  ];
  return [
    catalog(),
    ...pushes('monolith', 'Push Monolith'),
    ...pushes('chunked', 'Push Chunk Streamed'),
    ...SIZES.map(({ size, label, count }) => pulling(`Pull ${label}`, [[1, size]], count)),
    pulling('Pull Mixed 20% 1MB, 70% 10MB, 10% 100MB', mixed, 30),
    pushing('Push Monolith Mixed 20% 1MB, 70% 10MB, 10% 100MB (unique)', mixed, 20, 'monolith', 'unique'),
    pushing('Push Chunk Mixed 20% 1MB, 70% 10MB, 10% 100MB (unique)', mixed, 20, 'chunked', 'unique'),
    ...SIZES.map(({ size, label, count }) => pullAndPush(`Pull 75% and Push 25% Mixed ${label} (unique)`, size, count)),
    ...SIZES.map(({ size, label, count }) => endingUploads(`Final PUT ${label} (unique)`, size, count)),
    endingUploads('Final PUT 500MB (unique)', 500 * MB, 4),
    single('Manifest HEAD', 2000, (client, { repository }) =>
      client.send(200, 'HEAD', `/v2/${repository}/manifests/1`, { accept: MANIFEST_TYPE }),
    ),
    single('Manifest GET', 2000, (client, { repository }) =>
      client.send(200, 'GET', `/v2/${repository}/manifests/1`, { accept: MANIFEST_TYPE }),
    ),
    single('Small blob HEAD', 2000, (client, { repository, configDigest }) =>
      client.send(200, 'HEAD', `/v2/${repository}/blobs/${configDigest}`),
    ),
    single('Small blob GET', 2000, (client, { repository, configDigest }) =>
      client.send(200, 'GET', `/v2/${repository}/blobs/${configDigest}`),
    ),
  ];
}

type Shares = readonly (readonly [share: number, size: number])[];

function pushing(name: string, sizes: Shares, count: number, style: PushStyle, ingest: Ingest): Workload {
  return {
    name,
    unit: 'img',
    count,
    // The first push of the same bytes is another thing than the later ones.
    prepare: async (client) => {
      if (ingest === 'same') for (const [, size] of sizes) await push(client, maker.image(size, ingest), style);
    },
    plan: (client, _, planned) =>
      spread(sizes, planned).map((size) => {
        const image = maker.image(size, ingest);
        return () => push(client, image, style);
      }),
  };
}

/** Layers as docker sends them; the clock of an operation is that of the PUT behind the last byte. */
function endingUploads(name: string, size: number, count: number): Workload {
  return {
    name,
    unit: 'put',
    count,
    prepare: async () => {},
    plan: (client, _, planned) =>
      Array.from({ length: planned }, () => async () => {
        const end = await pushAllButTheEnd(client, maker.image(size, 'unique'));
        const from = performance.now();
        await end();
        return { bytes: size, milliseconds: performance.now() - from };
      }),
  };
}

function pulling(name: string, sizes: Shares, count: number): Workload {
  return {
    name,
    unit: 'img',
    count,
    prepare: (client) => stock(client, sizes),
    plan: (client, prepared, planned) => {
      const images = prepared as Stock;
      return spread(sizes, planned).map((size, i) => {
        const image = pick(images.get(size), i);
        return () => pull(client, image);
      });
    },
  };
}

function pullAndPush(name: string, size: number, count: number): Workload {
  return {
    name,
    unit: 'img',
    count,
    prepare: (client) => stock(client, [[1, size]]),
    plan: (client, prepared, planned) =>
      Array.from({ length: planned }, (_, i) => {
        const image = i % 4 === 3 ? maker.image(size, 'unique') : pick((prepared as Stock).get(size), i);
        return i % 4 === 3 ? () => push(client, image, 'monolith') : () => pull(client, image);
      }),
  };
}

function catalog(): Workload {
  return {
    name: 'Get Catalog',
    unit: 'req',
    count: 1000,
    prepare: (client) => stock(client, [[1, 1000]], 100),
    plan: (client, _, planned) =>
      Array.from({ length: planned }, () => async () => (await client.send(200, 'GET', '/v2/_catalog')).bytes),
  };
}

function single(
  name: string,
  count: number,
  read: (client: LoadClient, image: LoadImage) => Promise<{ readonly bytes: number }>,
): Workload {
  return {
    name,
    unit: 'req',
    count,
    prepare: (client) => stock(client, [[1, 1000]], 20),
    plan: (client, prepared, planned) =>
      Array.from({ length: planned }, (_, i) => {
        const image = pick((prepared as Stock).get(1000), i);
        return async () => (await read(client, image)).bytes;
      }),
  };
}

type Stock = ReadonlyMap<number, readonly LoadImage[]>;

async function stock(client: LoadClient, sizes: Shares, perSize = STOCK): Promise<Stock> {
  const made = new Map<number, LoadImage[]>();
  for (const [, size] of sizes) {
    const images = Array.from({ length: perSize }, () => maker.image(size, 'unique'));
    for (const image of images) await push(client, image, 'monolith');
    made.set(size, images);
  }
  return made;
}

/** The sizes in their shares, spread evenly, the same for every peer and round. */
function spread(sizes: Shares, count: number): readonly number[] {
  const given = new Map<number, number>();
  return Array.from({ length: count }, (_, i) => {
    const behind = sizes.map(([share, size]) => ({ size, gap: share * (i + 1) - (given.get(size) ?? 0) }));
    const [most] = behind.sort((a, b) => b.gap - a.gap);
    const size = most?.size ?? 0;
    given.set(size, (given.get(size) ?? 0) + 1);
    return size;
  });
}

function pick(images: readonly LoadImage[] | undefined, i: number): LoadImage {
  const image = images?.[i % images.length];
  if (image === undefined) throw new Error('no image was prepared');
  return image;
}
