/**
 * The network of the docker engine under test: a network namespace of its own, which lives as long as the engine's
 * process does, joined to the host by one veth pair. Nothing of another engine on the machine is seen or changed.
 */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { must, run } from './host-commands.js';

const MARK = 'wharf-differential';

export class DockerNetwork {
  private constructor(private readonly rules: readonly (readonly string[])[]) {}

  /** @param pid of a process that is alone in a fresh network namespace */
  static async join(pid: number): Promise<DockerNetwork> {
    await sweep();
    const [host, inner] = addresses(pid);
    const link = `wdiff${pid}`.slice(0, 15);
    const inside = (...args: readonly string[]): Promise<string> =>
      must('nsenter', ['-t', String(pid), '-n', 'ip', ...args]);
    await must('ip', ['link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(pid)]);
    await must('ip', ['addr', 'add', `${host}/30`, 'dev', link]);
    await must('ip', ['link', 'set', link, 'mtu', '1400', 'up']);
    await inside('link', 'set', 'lo', 'up');
    await inside('addr', 'add', `${inner}/30`, 'dev', 'eth0');
    await inside('link', 'set', 'eth0', 'mtu', '1400', 'up');
    await inside('route', 'add', 'default', 'via', host);
    await writeFile('/proc/sys/net/ipv4/ip_forward', '1');
    const mark = ['-m', 'comment', '--comment', `${MARK}-${pid}`];
    const rules = [
      ['nat', 'POSTROUTING', '-s', inner, ...mark, '-j', 'MASQUERADE'],
      ['filter', 'FORWARD', '-i', link, ...mark, '-j', 'ACCEPT'],
      ['filter', 'FORWARD', '-o', link, ...mark, '-j', 'ACCEPT'],
    ];
    for (const [table = '', chain = '', ...rule] of rules) {
      await must('iptables', ['-w', '-t', table, '-I', chain, '1', ...rule]);
    }
    return new DockerNetwork(rules);
  }

  /** The veth pair goes with the namespace; the rules do not. */
  async close(): Promise<void> {
    for (const [table = '', chain = '', ...rule] of this.rules) {
      await run('iptables', ['-w', '-t', table, '-D', chain, ...rule]);
    }
  }
}

/** Two of a /30 that two suites at once do not share. */
function addresses(pid: number): [host: string, inner: string] {
  const base = (pid % 16_384) * 4;
  const prefix = `10.213.${base >> 8}`;
  return [`${prefix}.${(base & 255) + 1}`, `${prefix}.${(base & 255) + 2}`];
}

/** Rules of engines that were killed. */
async function sweep(): Promise<void> {
  for (const table of ['nat', 'filter']) {
    const lines = (await must('iptables', ['-w', '-t', table, '-S'])).split('\n');
    for (const line of lines) {
      const pid = new RegExp(`"?${MARK}-(\\d+)"?`).exec(line)?.[1];
      if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
      await run('iptables', ['-w', '-t', table, ...line.replaceAll('"', '').replace(/^-A/, '-D').split(' ')]);
    }
  }
}
