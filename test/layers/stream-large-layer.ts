/**
 * A program for the memory test: writes a layer of 200 MB, indexes it, reads it, unpacks it, and prints how much memory
 * that took at most, over what an empty run takes.
 */
import { join } from 'node:path';
import { indexLayer, readLayer, type TarMember, UnpackedLayers, writeLayer } from '../../lib/layers/index.js';
import { createTestStore } from '../fakes/embedded-store.js';
import { file } from './members.js';

const MEGABYTE = 1024 * 1024;

function* members(): Generator<TarMember> {
  for (let i = 0; i < 4; i += 1) {
    const entry = { ...file(`large${i}`).entry, sizeBytes: 50 * MEGABYTE };
    yield { entry, body: content(i) };
  }
}

async function* content(seed: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < 50; i += 1) yield Buffer.alloc(MEGABYTE, `${seed}-${i}-`);
}

const store = await createTestStore();
try {
  const before = process.memoryUsage().rss;
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 5);
  const layer = await writeLayer(members(), { content: store.content, level: 1 });
  await indexLayer(store.content, layer.descriptor, layer.diffId);
  let read = 0;
  for await (const { body } of readLayer(store.content, layer.descriptor)) {
    for await (const chunk of body) read += chunk.length;
  }
  if (process.getuid?.() === 0) {
    const unpacked = await UnpackedLayers.open(store, join(store.directory, 'unpacked'));
    await unpacked.ensure(layer);
  }
  clearInterval(timer);
  console.log(JSON.stringify({ uncompressedBytes: layer.uncompressedBytes, read, grownBytes: peak - before }));
} finally {
  await store.close();
}
