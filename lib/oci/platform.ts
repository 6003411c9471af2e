/** Platform: `os/architecture[/variant]`, as in OCI descriptors and `--platform` (values of GOOS and GOARCH). */
import { AppError } from '../errors/index.js';

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/** Other names of an architecture, with the variant they mean. */
const ALIASES: Readonly<Record<string, readonly [architecture: string, variant?: string]>> = {
  x86_64: ['amd64'],
  'x86-64': ['amd64'],
  x64: ['amd64'],
  i386: ['386'],
  aarch64: ['arm64'],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
};
/** What may stand without an operating system. */
const ARCHITECTURES = new Set(
  '386 amd64 arm arm64 loong64 mips mipsle mips64 mips64le ppc64 ppc64le riscv64 s390x wasm'.split(' '),
);
const WORD = /^[a-z0-9_.-]+$/;

/** `arm64` alone is `linux/arm64`. @throws AppError PLATFORM_INVALID */
export function parsePlatform(text: string): Platform {
  const parts = text.toLowerCase().split('/');
  if (parts.length > 3 || parts.some((part) => !WORD.test(part))) throw invalid(text);
  const [first = '', second, variant] = parts;
  if (second !== undefined) {
    return normalise({ os: first, architecture: second, ...(variant === undefined ? {} : { variant }) });
  }
  const platform = normalise({ os: 'linux', architecture: first });
  if (!ARCHITECTURES.has(platform.architecture)) throw invalid(text);
  return platform;
}

function invalid(text: string): AppError {
  return new AppError('PLATFORM_INVALID', `platform ${JSON.stringify(text)} is not os/architecture[/variant]`, {
    hint: 'for example linux/amd64, linux/arm64/v8, or an architecture of Linux alone, like arm64',
  });
}

export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, platform.variant].filter((part) => part !== undefined).join('/');
}

/** The platform of a machine, from Node's `process.arch`. */
export function platformOfArch(arch: string): Platform {
  return normalise({ os: 'linux', architecture: arch });
}

/** Whether an image made for `offered` runs where `wanted` is asked for. */
export function platformMatches(wanted: Platform, offered: Platform): boolean {
  const a = normalise(wanted);
  const b = normalise(offered);
  return a.os === b.os && a.architecture === b.architecture && (a.variant ?? '') === (b.variant ?? '');
}

/** arm64 means arm64/v8, arm means arm/v7, as containerd's platforms package has it. */
function normalise(platform: Platform): Platform {
  const [architecture, meant] = ALIASES[platform.architecture] ?? [platform.architecture];
  const variant = variantOf(architecture, meant ?? platform.variant);
  return variant === undefined ? { os: platform.os, architecture } : { os: platform.os, architecture, variant };
}

function variantOf(architecture: string, variant: string | undefined): string | undefined {
  if (architecture === 'amd64') return variant === 'v1' ? undefined : variant;
  if (architecture === '386') return undefined;
  if (architecture === 'arm64') {
    if (variant === undefined || ['8', 'v8', 'v8.0'].includes(variant)) return undefined;
    return ['9', '9.0', 'v9.0'].includes(variant) ? 'v9' : variant;
  }
  if (architecture !== 'arm') return variant;
  return /^[5-8]$/.test(variant ?? '7') ? `v${variant ?? '7'}` : variant;
}
