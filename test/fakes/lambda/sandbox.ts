/**
 * What an execution environment sees of the machine: the function's code read-only, a /tmp of its own of the size the
 * function was given, everything else read-only, no root and no capability. Without root on this machine only the
 * environment variables are as on Lambda.
 */
import { fileURLToPath } from 'node:url';

export interface SandboxedCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly taskRoot: string;
}

const BOOTSTRAP = fileURLToPath(new URL('bootstrap.mjs', import.meta.url));
/** Where the code is seen inside; a folder that every machine has. */
const TASK_ROOT = '/mnt';
/** The user that Lambda gives to functions. */
const USER = 993;

/**
 * In a mount namespace of the process: nothing of it is left when the process ends. The code is opened before /tmp is
 * covered, since that is where it lies.
 */
const ISOLATE = [
  'set -e',
  'mount --bind "$1" /mnt',
  'mount -o remount,bind,ro /mnt',
  'exec <"$2"',
  'mount -t tmpfs -o "size=$3m,mode=1777,nosuid,nodev" tmpfs /tmp',
  'mount -o remount,bind,ro /',
  'shift 3',
  `exec setpriv --reuid ${USER} --regid ${USER} --clear-groups --no-new-privs --bounding-set -all "$@"`,
].join('\n');

export function sandboxed(code: string, scratchMiB: number): SandboxedCommand {
  const node = [process.execPath, '--input-type=module', '-'];
  if (process.getuid?.() !== 0) return { command: process.execPath, args: [BOOTSTRAP], taskRoot: code };
  const shell = ['sh', '-c', ISOLATE, 'isolate', code, BOOTSTRAP, String(scratchMiB), ...node];
  return { command: 'unshare', args: ['--mount', '--propagation', 'private', ...shell], taskRoot: TASK_ROOT };
}
