#!/usr/bin/env node
// CommonJS, because Node reads the size of its thread pool before it loads the first ES module. Disk syncs, hashing and
// compression share that pool; with Node's four threads a few slow syncs hold up everything else.
process.env.UV_THREADPOOL_SIZE ??= '16';
void import('./start.mjs');
