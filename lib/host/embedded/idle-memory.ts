/**
 * How a process that stays keeps its memory small.
 *
 * Memory is given back when nothing is asked of the process. V8 lets the space for young objects grow to 32 MiB under load,
 * and makes it small again only in a full collection at a time when next to nothing is allocated, which never comes by
 * itself in a process that waits.
 */
import { performance } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Of full collections, which a hidden class survives without an object that has it. More than a pause has. */
const SHAPES_KEPT = 100;
/** V8 judges by the last five seconds, which two collections without anything between them have to span. */
const LOOK_MS = 2600;
const MOST_TRIES = 4;
/** The share of time in which the event loop has something to do. */
const BUSY = 0.1;
const LARGE_BYTES = 4 * 1024 * 1024;

/**
 * Left alone, V8 lets the heap grow to four times of what is alive before it collects: hundreds of megabytes of garbage
 * after a few builds. At twice, collecting costs a few hundredths of a second in a build. Not for commands: after a flag
 * was set, Node compiles its own modules anew instead of taking them as they were compiled when it was built.
 */
export function keepHeapSmall(): void {
  setFlagsFromString('--heap-growing-percent=100');
}

/**
 * Goes on until the process ends, and does not keep it.
 *
 * A few collections without a request between them look to V8 like a program that changed: it drops code that was not run
 * and hidden classes that no object has, and what it compiled for those. The next thousands of requests then take half as long
 * again, until all is compiled anew. Both are kept instead.
 */
export function giveBackIdleMemory(): void {
  setFlagsFromString('--no-flush-bytecode');
  setFlagsFromString(`--retain-maps-for-n-gc=${SHAPES_KEPT}`);
  const collect = collector();
  let before = performance.eventLoopUtilization();
  let tries = 0;
  setInterval(() => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    if (utilization > BUSY) tries = 0;
    if (utilization > BUSY || tries >= MOST_TRIES || youngBytes() <= LARGE_BYTES) return;
    tries += 1;
    collect();
    // The collection itself is no work that was asked for.
    before = performance.eventLoopUtilization();
  }, LOOK_MS).unref();
}

function youngBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')?.space_size ?? 0;
}

function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
