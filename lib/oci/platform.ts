/** Platform: `os/architecture[/variant]`, as in OCI descriptors and `--platform` (values of GOOS and GOARCH). */
import { AppError } from '../errors/index.js';

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

const ALIASES: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  'x86-64': 'amd64',
  aarch64: 'arm64',
  x64: 'amd64',
};
const WORD = /^[a-z0-9_.-]+$/;

/** @throws AppError PLATFORM_INVALID */
export function parsePlatform(text: string): Platform {
  const parts = text.toLowerCase().split('/');
  const [os, architecture, variant] = parts;
  if (parts.length < 2 || parts.length > 3 || parts.some((part) => !WORD.test(part)) || !os || !architecture) {
    throw new AppError('PLATFORM_INVALID', `platform ${JSON.stringify(text)} is not os/architecture[/variant]`, {
      hint: 'for example linux/amd64 or linux/arm64/v8',
    });
  }
  return normalise({ os, architecture, ...(variant === undefined ? {} : { variant }) });
}

export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, platform.variant].filter((part) => part !== undefined).join('/');
}

/** The platform of a machine, from Node's `process.arch`. */
export function platformOfArch(arch: string): Platform {
  return normalise({ os: 'linux', architecture: ALIASES[arch] ?? arch });
}

/** Whether an image made for `offered` runs where `wanted` is asked for. */
export function platformMatches(wanted: Platform, offered: Platform): boolean {
  const a = normalise(wanted);
  const b = normalise(offered);
  return a.os === b.os && a.architecture === b.architecture && (a.variant ?? '') === (b.variant ?? '');
}

/** arm64 means arm64/v8, arm means arm/v7, as containerd's platforms package has it. */
function normalise(platform: Platform): Platform {
  const architecture = ALIASES[platform.architecture] ?? platform.architecture;
  const bare = { os: platform.os, architecture };
  if (architecture === 'arm64' && platform.variant === 'v8') return bare;
  if (architecture === 'arm' && platform.variant === undefined) return { ...bare, variant: 'v7' };
  return platform.variant === undefined ? bare : { ...bare, variant: platform.variant };
}
