/** Where a repository over ssh lies, in the two ways git writes it: `ssh://git@host:22/path` and `git@host:path`. */
import { refusal } from '../build-errors.js';

export interface SshAddress {
  readonly host: string;
  readonly port: number;
}

const SHORT = /^([a-z0-9._-]+)@([^/:\s@]+):(?!\/\/)(.+)$/i;
/** Names and IPv4 addresses, or IPv6 ones in brackets: what goes into a file that ssh reads has no other characters. */
const HOST = /^([a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])$/i;

/** Whether a word is ssh's short form, which has no scheme. */
export function isShortSsh(word: string): boolean {
  return SHORT.test(word);
}

/** Undefined for what is not over ssh. @throws AppError BUILD_REMOTE_INVALID */
export function sshAddress(url: string): SshAddress | undefined {
  const short = SHORT.exec(url);
  const long = /^ssh:\/\/(?:([a-z0-9._-]+)@)?(\[[^\]/]*\]|[^/:@]+)(?::(\d{1,5}))?\/./i.exec(url);
  if (short === null && long === null && !/^ssh:\/\//i.test(url)) return undefined;
  const [host = '', port = '22'] = short === null ? (long?.slice(2) ?? []) : [short[2]];
  const user = short?.[1] ?? long?.[1] ?? 'git';
  if (!HOST.test(host) || user.startsWith('-') || Number(port) > 65_535 || Number(port) === 0) {
    throw refusal('BUILD_REMOTE_INVALID', `${url.replace(/\/\/[^/@]*@/, '//')} is no repository over ssh`, {
      hint: 'git@host:team/app.git or ssh://git@host:22/team/app.git',
      word: url,
    });
  }
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
}

/** `../lib.git` beside `https://host/team/app.git` is `https://host/team/lib.git`. */
export function besideRepository(url: string, parent: string): string {
  if (!/^\.\.?\//.test(url)) return url;
  const [, root = '', rest = ''] = /^([a-z]+:\/\/[^/]+\/|[^/:]+:)(.*)$/i.exec(parent) ?? [];
  const parts = rest.replace(/\/+$/, '').split('/');
  let wanted = url;
  for (let step = /^\.\.?\//.exec(wanted); step !== null; step = /^\.\.?\//.exec(wanted)) {
    if (step[0] === '../') parts.pop();
    wanted = wanted.slice(step[0].length);
  }
  return root + [...parts, wanted].filter((part) => part !== '').join('/');
}
