/**
 * GNU tar as our hands: Node can neither make device nodes nor read or set extended attributes. What goes in and what
 * comes out is a stream of tar that this room writes and reads itself.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { AppError, errnoCode, startedProcess } from '../../errors/index.js';
import type { ByteSource } from '../../store/index.js';
import { writeInto } from '../byte-stream.js';

/** Nothing of our environment: TAR_OPTIONS would change what tar does. */
const ENVIRONMENT = { LC_ALL: 'C', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
const COMPLAINT_CHARACTERS = 2000;

/**
 * `--absolute-names` although none are: without it tar makes links to absolute targets only at the end, over whatever
 * a later entry of the same name brought. That names are safe is the caller's promise.
 */
const EXTRACT = [
  '--extract',
  '--absolute-names',
  '--file=-',
  '--xattrs',
  '--xattrs-include=*',
  '--numeric-owner',
  '--same-owner',
  '--same-permissions',
  '--delay-directory-restore',
  '--warning=no-timestamp',
];

const CREATE = [
  '--create',
  '--file=-',
  '--format=posix',
  '--pax-option=delete=atime,delete=ctime',
  '--xattrs',
  '--xattrs-include=*',
  '--numeric-owner',
  '--no-recursion',
  '--hard-dereference',
  '--null',
  '--files-from=-',
];

/**
 * Unpacks a tar into a folder. The tar must be safe already: this only carries it out.
 * @throws AppError UNPACK_FAILED with what tar said, STORE_FULL, HOST_TOOL_MISSING, or what the source threw
 */
export async function extractTar(tar: ByteSource, directory: string): Promise<void> {
  const run = start([...EXTRACT, `--directory=${directory}`]);
  run.child.stdout.resume();
  try {
    await writeInto(run.child.stdin, tar);
  } catch (error) {
    await run.kill();
    throw error;
  }
  await run.finished('UNPACK_FAILED');
}

/**
 * A tar of just these names of a folder, in their order: every file whole (no hard links), extended attributes and
 * times with fractions as PAX records.
 * @param names as bytes, relative to the folder; one at least, or tar refuses
 * @throws AppError CHANGESET_FAILED with what tar said, HOST_TOOL_MISSING
 */
export async function* createTar(directory: string, names: AsyncIterable<readonly Uint8Array[]>): ByteSource {
  const run = start([`--directory=${directory}`, ...CREATE]);
  let ended = false;
  try {
    const fed = writeInto(run.child.stdin, listOf(names));
    // Without an end of its list tar would wait for it for ever.
    fed.catch(() => run.child.stdin.destroy());
    yield* run.child.stdout as AsyncIterable<Uint8Array>;
    await fed;
    await run.finished('CHANGESET_FAILED');
    ended = true;
  } finally {
    if (!ended) await run.kill();
  }
}

async function* listOf(names: AsyncIterable<readonly Uint8Array[]>): ByteSource {
  for await (const some of names) {
    yield Buffer.concat(some.flatMap((name) => [Buffer.from('./'), name, Buffer.alloc(1)]));
  }
}

interface Run {
  readonly child: ChildProcessWithoutNullStreams;
  /** Throws with this code unless tar ended well. */
  finished(code: string): Promise<void>;
  /** Ends tar, if it still runs, and waits for it. */
  kill(): Promise<void>;
}

function start(args: readonly string[]): Run {
  const child = startedProcess(spawn('tar', args, { env: ENVIRONMENT }));
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    if (complaint.length < COMPLAINT_CHARACTERS) complaint += chunk.toString();
  });
  const exit = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  exit.catch(() => {});
  return {
    child,
    async finished(code) {
      const status = await exit.catch((error: unknown) => {
        throw missing(error);
      });
      if (status !== 0) throw failed(code, status, complaint);
    },
    async kill() {
      child.kill('SIGKILL');
      await exit.catch(() => {});
    },
  };
}

function failed(code: string, status: number | null, complaint: string): AppError {
  if (/No space left on device|Disk quota exceeded|Read-only file system/.test(complaint)) {
    return new AppError('STORE_FULL', 'the data folder has no room to write', {
      kind: 'unavailable',
      hint: 'free disk space in the data folder, then try again; nothing already acknowledged is lost',
    });
  }
  const said = complaint.trim().slice(0, COMPLAINT_CHARACTERS) || 'no message';
  return new AppError(code, `tar ended with status ${status}: ${said}`, { kind: 'internal' });
}

function missing(error: unknown): unknown {
  if (errnoCode(error) !== 'ENOENT') return error;
  return new AppError('HOST_TOOL_MISSING', 'the program tar is not installed', {
    kind: 'unavailable',
    hint: 'install GNU tar',
    cause: error,
  });
}
