/**
 * The image config while a stage is planned: inherited from the base, changed by one instruction after the other.
 * Field rules and history texts are BuildKit's (dockerfile2llb/convert.go), so that `docker history` shows the same.
 */
import type { ContainerConfig, Healthcheck, HistoryEntry, Platform } from '../../oci/index.js';
import { goDuration, goList, goQuoteList } from '../export/go-format.js';

export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const DEFAULT_SHELL: readonly string[] = ['/bin/sh', '-c'];
export const HISTORY_COMMENT = 'buildkit.dockerfile.v0';

/** `-readonly` on every member: the config being made. */
type Draft<T> = { -readonly [K in keyof T]: T[K] };

export class ImageDraft {
  private constructor(
    readonly platform: Platform,
    readonly config: Draft<ContainerConfig>,
    /** History of the base, with the times it came with. */
    readonly inheritedHistory: readonly HistoryEntry[],
    readonly history: HistoryEntry[],
    /** `created` of the base image. */
    readonly baseCreated: string | undefined,
    public author: string | undefined,
    /** Members of the base's config document that platforms have beyond os, architecture and variant. */
    readonly osFields: Readonly<Record<string, unknown>>,
  ) {}

  static scratch(platform: Platform): ImageDraft {
    return new ImageDraft(
      platform,
      { WorkingDir: '/', Env: [`PATH=${DEFAULT_PATH}`] },
      [],
      [],
      undefined,
      undefined,
      {},
    );
  }

  /** From an image's config document; the config must have been checked by `parseImageConfig`. */
  static fromBase(document: Readonly<Record<string, unknown>>, platform: Platform): ImageDraft {
    const base = document as {
      config?: ContainerConfig;
      history?: readonly HistoryEntry[];
      created?: string;
      author?: string;
    };
    const osFields: Record<string, unknown> = {};
    for (const name of ['os.version', 'os.features']) if (name in document) osFields[name] = document[name];
    const draft = new ImageDraft(
      ownPlatform(document, platform),
      withoutNulls(base.config ?? {}),
      base.history ?? [],
      [],
      base.created,
      base.author,
      osFields,
    );
    if (!draft.env().has('PATH')) draft.setEnv('PATH', DEFAULT_PATH);
    return draft;
  }

  /** A copy for a stage built `FROM` this one. ONBUILD triggers are not carried over. */
  fork(): ImageDraft {
    const config = structuredClone(this.config);
    delete config.OnBuild;
    return new ImageDraft(
      this.platform,
      config,
      this.inheritedHistory,
      [...this.history],
      this.baseCreated,
      this.author,
      this.osFields,
    );
  }

  env(): Map<string, string> {
    return new Map((this.config.Env ?? []).map(splitEnv));
  }

  setEnv(name: string, value: string): void {
    const env = [...(this.config.Env ?? [])];
    const at = env.findIndex((entry) => splitEnv(entry)[0] === name);
    if (at < 0) env.push(`${name}=${value}`);
    else env[at] = `${name}=${value}`;
    this.config.Env = env;
  }

  setLabel(name: string, value: string): void {
    this.config.Labels = { ...this.config.Labels, [name]: value };
  }

  shell(): readonly string[] {
    return this.config.Shell === undefined || this.config.Shell.length === 0 ? DEFAULT_SHELL : this.config.Shell;
  }

  record(text: string, options: { readonly layer: boolean; readonly marked?: boolean }): void {
    this.history.push({
      created_by: options.marked === true ? `${text} # buildkit` : text,
      comment: HISTORY_COMMENT,
      ...(options.layer ? {} : { empty_layer: true }),
    });
  }
}

/** The image's own platform; a variant that was asked for stands in where the image names none. */
function ownPlatform(document: Readonly<Record<string, unknown>>, platform: Platform): Platform {
  const { os, architecture, variant } = document;
  if (typeof os !== 'string' || typeof architecture !== 'string') return platform;
  const own = { os, architecture, ...(typeof variant === 'string' && variant !== '' ? { variant } : {}) };
  return os === platform.os && architecture === platform.architecture ? { ...own, ...platform } : own;
}

/** Docker's own configs say null where a list is empty. */
function withoutNulls(config: ContainerConfig): Draft<ContainerConfig> {
  const members = Object.entries(config).filter(([, value]) => value !== null);
  return structuredClone(Object.fromEntries(members));
}

function splitEnv(entry: string): [string, string] {
  const at = entry.indexOf('=');
  return at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)];
}

/** `|2 A=1 B=2 /bin/sh -c make`: build arguments first, counted, as docker's cache once wanted them. */
export function runHistory(args: readonly string[], buildArgs: ReadonlyMap<string, string>): string {
  const declared = [...buildArgs].map(([name, value]) => `${name}=${value}`);
  const counted = declared.length === 0 ? [] : [`|${declared.length}`, ...declared];
  return `RUN ${[...counted, ...args].join(' ')}`;
}

export function healthcheckHistory(check: Healthcheck): string {
  const fields = [
    `Test:${goList(check.Test)}`,
    `Interval:${goDuration(check.Interval ?? 0)}`,
    `Timeout:${goDuration(check.Timeout ?? 0)}`,
    `StartPeriod:${goDuration(check.StartPeriod ?? 0)}`,
    `StartInterval:${goDuration(check.StartInterval ?? 0)}`,
    `Retries:${check.Retries ?? 0}`,
  ];
  return `HEALTHCHECK {${fields.join(' ')}}`;
}

export function commandHistory(instruction: 'CMD' | 'ENTRYPOINT', args: readonly string[]): string {
  return `${instruction} ${goQuoteList(args)}`;
}
