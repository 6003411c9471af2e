/**
 * Union file system: layers stacked by the kernel's overlayfs. Node has no mount call, so mount(8) does it, with the
 * layers' folder as its working directory: the kernel takes one page of options, and short relative names are what
 * lets over a hundred layers fit.
 */
import { access, mkdir, readdir } from 'node:fs/promises';
import { release } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { AppError } from '../../errors/index.js';
import { textNow } from '../host/files-now.js';
import { mustRun, runCommand } from '../host/host-command.js';

/** mount(2) copies one page of options. */
const MAX_OPTION_BYTES = 4095;

/**
 * Without these a folder renamed in the upper layer, or a file whose metadata alone changed, would be kept in ways that
 * only this kernel can read, and the upper folder could not be turned into a layer.
 */
const PLAIN_OPTIONS = ['index', 'redirect_dir', 'metacopy'] as const;

export interface OverlayMount {
  /** Folder that relative names start from. */
  readonly directory: string;
  /** Read-only layers, the topmost first. */
  readonly lowers: readonly string[];
  /** Where changes go; without it the mount is read-only. Made when absent. */
  readonly upper?: string;
  /** Kernel's scratch space, on the same file system as `upper`; needed with it. Made when absent. */
  readonly work?: string;
  /** Where the result appears. Made when absent. */
  readonly target: string;
  /**
   * That `upper` is of no use any more once the machine has lost power: nothing of it is brought to disk then, neither
   * for a container that asks for it nor at the end. After such a loss the kernel refuses `work` until it was removed.
   */
  readonly discardable?: boolean;
}

/**
 * Mounts the layers. One layer without `upper`, or `upper` without layers, becomes a bind mount: overlayfs takes neither.
 * @throws AppError OVERLAY_TOO_MANY_LAYERS, OVERLAY_NAME_INVALID, HOST_COMMAND_FAILED
 */
export async function mountOverlay(mount: OverlayMount): Promise<void> {
  const { directory, upper, work } = mount;
  // The kernel refuses a folder twice. Of two equal layers the lower one adds nothing to the upper one.
  const lowers = [...new Set(mount.lowers)];
  const target = resolve(directory, mount.target);
  await mkdir(target, { recursive: true });
  if (upper === undefined) {
    const [only] = lowers;
    if (only === undefined) throw new AppError('OVERLAY_EMPTY', `nothing to mount at ${target}: no layer and no upper`);
    if (lowers.length === 1) return bind(resolve(directory, only), target, true);
    return overlay(directory, [`lowerdir=${lowerList(directory, lowers)}`], target);
  }
  await mkdir(resolve(directory, upper), { recursive: true });
  if (lowers.length === 0) return bind(resolve(directory, upper), target, false);
  if (work === undefined) throw new AppError('OVERLAY_NO_WORK', `overlay at ${target} has an upper but no work folder`);
  await mkdir(resolve(directory, work), { recursive: true });
  const options = [
    `lowerdir=${lowerList(directory, lowers)}`,
    `upperdir=${optionName(directory, upper)}`,
    `workdir=${optionName(directory, work)}`,
    ...(mount.discardable === true && knowsVolatile() ? ['volatile'] : []),
  ];
  return overlay(directory, options, target);
}

/** Takes the mount away; nothing happens when there is none. A busy one is detached and goes with its last user. */
export async function unmountOverlay(target: string): Promise<void> {
  const path = resolve(target);
  // A target may be mounted over more than once, after a crash between mount and record.
  while ((await mountPoints()).includes(path)) {
    const result = await runCommand('umount', ['--no-canonicalize', path]);
    if (result.exitCode !== 0) await mustRun('umount', ['--no-canonicalize', '--lazy', path]);
  }
}

/** Mount points of this mount namespace, in mount order. */
export async function mountPoints(): Promise<readonly string[]> {
  const text = textNow('/proc/self/mountinfo');
  return text
    .split('\n')
    .map((line) => line.split(' ')[4])
    .filter((path) => path !== undefined)
    .map((path) => path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))));
}

async function overlay(directory: string, layers: readonly string[], target: string): Promise<void> {
  const options = [...layers, ...(await plainOptions())].join(',');
  if (Buffer.byteLength(options) > MAX_OPTION_BYTES) {
    throw new AppError(
      'OVERLAY_TOO_MANY_LAYERS',
      `the layers' names make ${Buffer.byteLength(options)} bytes of mount options; the kernel takes ${MAX_OPTION_BYTES}`,
      { kind: 'unsupported', hint: 'build the image with fewer layers: join RUN and COPY steps' },
    );
  }
  await mustRun('mount', ['-t', 'overlay', 'overlay', '-o', options, target], {
    cwd: directory,
    // The newer mount API takes 256 bytes per option.
    env: { LIBMOUNT_FORCE_MOUNT2: 'always' },
  });
}

async function bind(source: string, target: string, readonly: boolean): Promise<void> {
  await mustRun('mount', ['--bind', source, target]);
  if (readonly) await mustRun('mount', ['-o', 'remount,bind,ro', target]);
}

function lowerList(directory: string, lowers: readonly string[]): string {
  return lowers.map((lower) => optionName(directory, lower)).join(':');
}

function optionName(directory: string, path: string): string {
  const name = relative(directory, resolve(directory, path));
  if (/[\\,:"\n]/.test(name)) {
    throw new AppError('OVERLAY_NAME_INVALID', `${JSON.stringify(name)} cannot stand in mount options`, {
      hint: 'a path without comma, colon, quote and backslash',
    });
  }
  return name;
}

/** Since Linux 5.10; it is no parameter of the module. */
function knowsVolatile(): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return major > 5 || (major === 5 && minor >= 10);
}

let detected: Promise<readonly string[]> | undefined;

/** The options this kernel knows, asked once per process: it lists them as parameters of the overlay module. */
async function plainOptions(): Promise<readonly string[]> {
  detected ??= (async () => {
    const parameters = '/sys/module/overlay/parameters';
    try {
      await access(parameters);
    } catch {
      await runCommand('modprobe', ['overlay']).catch(() => undefined);
    }
    const known = await readdir(parameters).catch(() => [] as string[]);
    return PLAIN_OPTIONS.filter((name) => known.includes(name)).map((name) => `${name}=off`);
  })();
  return detected;
}

/** Absolute path of a container's root inside its folder. */
export function rootfsOf(containerFolder: string): string {
  return join(containerFolder, 'rootfs');
}
