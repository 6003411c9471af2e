#!/usr/bin/env node
// Node reads the size of its thread pool when it first uses it, so this comes before all else. Disk syncs, hashing and
// compression share that pool; with Node's four threads a few slow syncs hold up everything else.
process.env.UV_THREADPOOL_SIZE ??= '16';
require('./start.cjs');
