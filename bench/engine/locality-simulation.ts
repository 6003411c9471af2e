/**
 * What placement by layers saves: tasks of many images come and go on instances that each keep the images they used
 * last. Zipf decides which image is wanted; a start is cold when the instance has to pull it.
 */
import { pullsOf } from '../../lib/engine/placement/locality.js';
import type { Requirement } from '../../lib/engine/placement/place.js';
import { PlacementIndex } from '../../lib/engine/placement/placement-index.js';
import { adjusted, type InstanceSnapshot } from '../../lib/engine/placement/snapshot.js';

const INSTANCES = 40;
const IMAGES = 60;
/** Images that an instance keeps. */
const KEPT = 12;
const TASKS = 400;
const ZIPF = 0.9;
const MIB = 2 ** 20;

export interface LocalityOutcome {
  /** Of all starts. */
  readonly coldShare: number;
  readonly pulledBytes: number;
  /** Instances with a task, on average once the cluster was filled. */
  readonly instances: number;
}

interface Image {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly share: number;
}

interface Running {
  readonly instanceId: string;
  readonly requirement: Requirement;
}

export function simulateLocality(
  strategies: Requirement['strategies'],
  { seed, starts }: { readonly seed: number; readonly starts: number },
): LocalityOutcome {
  const random = randomOf(seed);
  const images = Array.from({ length: IMAGES }, (_, rank): Image => ({
    digest: `image-${String(rank)}`,
    sizeBytes: Math.round((50 + random() * 1450) * MIB),
    share: (rank + 1) ** -ZIPF,
  }));
  const cluster = new Cluster();
  let [cold, pulledBytes, busy, looks] = [0, 0, 0, 0];
  for (let started = 0; started < starts;) {
    while (cluster.running.length >= TASKS) cluster.end(random);
    const image = drawn(images, random);
    const requirement: Requirement = {
      needs: { cpu: steps(64, random), memoryMiB: steps(128, random), tcpPorts: [], udpPorts: [] },
      constraints: [],
      strategies,
      group: image.digest,
      pulls: pullsOf([image], cluster.holders),
    };
    const isCold = cluster.start(requirement, image.digest, random);
    if (isCold === undefined) {
      cluster.end(random);
      continue;
    }
    started += 1;
    if (isCold) [cold, pulledBytes] = [cold + 1, pulledBytes + image.sizeBytes];
    if (started > starts / 10) [busy, looks] = [busy + cluster.busy(), looks + 1];
  }
  return { coldShare: cold / starts, pulledBytes, instances: busy / looks };
}

class Cluster {
  readonly running: Running[] = [];
  /** The instances that have each image. */
  readonly holders = new Map<string, Set<string>>();
  private readonly index = new PlacementIndex(Array.from({ length: INSTANCES }, (_, number) => empty(number)));
  /** The images of each instance, the one used last at the end. */
  private readonly kept = new Map<string, string[]>();

  /** @returns whether the image had to be pulled; undefined when there is no room */
  start(requirement: Requirement, image: string, random: () => number): boolean | undefined {
    const chosen = this.index.choose(requirement, new Set(), random);
    if (chosen === undefined) return undefined;
    this.claim({ instanceId: chosen.id, requirement }, -1);
    this.running.push({ instanceId: chosen.id, requirement });
    return this.use(chosen.id, image);
  }

  /** One of the tasks ends. */
  end(random: () => number): void {
    const which = Math.floor(random() * this.running.length);
    const gone = this.running[which];
    const last = this.running.pop();
    if (gone === undefined || last === undefined) return;
    if (which < this.running.length) this.running[which] = last;
    this.claim(gone, 1);
  }

  busy(): number {
    return this.index.instances.filter(({ taskCount }) => taskCount > 0).length;
  }

  private claim({ instanceId, requirement }: Running, sign: 1 | -1): void {
    const instance = this.index.instance(instanceId);
    if (instance === undefined) return;
    const remaining = adjusted(instance.remaining, requirement.needs, sign);
    this.index.set({ ...instance, remaining, taskCount: instance.taskCount - sign });
  }

  private use(instanceId: string, image: string): boolean {
    const kept = this.kept.get(instanceId) ?? [];
    this.kept.set(instanceId, kept);
    const at = kept.indexOf(image);
    if (at >= 0) kept.splice(at, 1);
    else {
      const out = kept.length < KEPT ? undefined : kept.shift();
      if (out !== undefined) this.holders.get(out)?.delete(instanceId);
      this.holders.set(image, (this.holders.get(image) ?? new Set()).add(instanceId));
    }
    kept.push(image);
    return at < 0;
  }
}

function drawn(images: readonly Image[], random: () => number): Image {
  let left = random() * images.reduce((sum, { share }) => sum + share, 0);
  for (const image of images) {
    left -= image.share;
    if (left <= 0) return image;
  }
  throw new Error('no image was drawn');
}

function steps(size: number, random: () => number): number {
  return size * (1 + Math.floor(random() * 8));
}

function randomOf(seed: number): () => number {
  let state = seed * 7919 + 13;
  return () => (state = (state * 48_271) % 0x7fff_ffff) / 0x7fff_ffff;
}

function empty(number: number): InstanceSnapshot {
  const id = `i${String(number).padStart(2, '0')}`;
  return {
    id,
    arn: id,
    ec2InstanceId: id,
    status: 'ACTIVE',
    agentConnected: true,
    agentVersion: undefined,
    registeredAtMs: 0,
    attributes: new Map(),
    remaining: { cpu: 4096, memoryMiB: 8192, tcpPorts: [], udpPorts: [] },
    groups: new Map(),
    taskCount: 0,
    runningTasksCount: 0,
  };
}
