#!/usr/bin/env node
// CommonJS, because Node reads the size of its thread pool before it loads the first ES module. Disk syncs, hashing and
// compression share that pool; with Node's four threads a few slow syncs hold up everything else.
process.env.UV_THREADPOOL_SIZE ??= '16';
// Left alone, V8 lets the heap grow to four times of what is alive before it collects: hundreds of megabytes of garbage
// after a few builds. At twice, collecting costs a few hundredths of a second in a build.
require('node:v8').setFlagsFromString('--heap-growing-percent=100');
void import('./start.mjs');
