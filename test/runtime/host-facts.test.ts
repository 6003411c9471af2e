import { cp, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import {
  bridgeName,
  judgeRuntime,
  netnsName,
  type RuntimePackage,
  openHostScope,
  parseSignal,
} from '../../lib/runtime/index.js';
import { containerResolvConf, hostsFile } from '../../lib/runtime/process/name-files.js';
import { findOwnRules } from '../../lib/runtime/network/packet-rules.js';
import { ipv4Range, overlaps, subnetCandidates } from '../../lib/runtime/network/subnet.js';

describe('a scope', () => {
  test('keeps its id, also when its folder moves; a copy gets another', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'wharf-scope-'));
    try {
      const first = await openHostScope(join(directory, 'a'));
      expect(first.id).toMatch(/^[0-9a-f]{6}$/);
      await expect(openHostScope(join(directory, 'a'))).resolves.toEqual(first);
      await cp(join(directory, 'a'), join(directory, 'copy'), { recursive: true });
      expect((await openHostScope(join(directory, 'copy'))).id).not.toBe(first.id);
      await rename(join(directory, 'a'), join(directory, 'b'));
      expect((await openHostScope(join(directory, 'b'))).id).toBe(first.id);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test('opened twice at once ends with one id', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'wharf-scope-'));
    try {
      const opened = await Promise.all(Array.from({ length: 8 }, () => openHostScope(join(directory, 'a'))));
      expect(new Set(opened.map(({ id }) => id)).size).toBe(1);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test('names fit the kernel’s limits and refuse what is not a container id', () => {
    const scope = { id: 'a1b2c3', directory: '/x' };
    expect(bridgeName(scope).length).toBeLessThanOrEqual(15);
    expect(netnsName(scope, 'web-1')).toBe('wharf-a1b2c3-web-1');
    for (const id of ['../x', '', 'a/b', 'a b', '-x']) {
      expect(() => netnsName(scope, id)).toThrow(expect.objectContaining({ code: 'CONTAINER_ID_INVALID' }));
    }
  });
});

describe('the version of runc', () => {
  const packaged = (version: string, ...fixes: string[]): object => ({ version, fixes: new Set(fixes) });
  const ALL_2025 = ['CVE-2025-31133', 'CVE-2025-52565', 'CVE-2025-52881', 'CVE-2024-45310', 'CVE-2026-41579'];
  test.each([
    ['runc version 1.1.12\n', undefined, 'dated'],
    ['runc version 1.2.8', undefined, 'dated'],
    ['runc version 1.3.2', undefined, 'dated'],
    ['runc version 1.3.3', undefined, 'dated'],
    ['runc version 1.3.6', undefined, 'good'],
    ['runc version 1.4.0-rc.1', undefined, 'dated'],
    ['runc version 1.4.3', undefined, 'good'],
    ['runc version 1.5.0-rc.3', undefined, 'dated'],
    ['runc version 1.5.0', undefined, 'good'],
    ['runc version 2.0.0', undefined, 'good'],
    ['runc version 1.1.5', undefined, 'refused'],
    ['runc version 1.0.0', undefined, 'refused'],
    ['runc version 1.0.0-rc6', undefined, 'refused'],
    // Distributions carry the fixes without a new upstream version, and their changelogs say so.
    ['runc version 1.1.5+ds1', packaged('1.1.5+ds1-1+deb12u1', 'CVE-2024-21626'), 'dated'],
    ['runc version 1.1.5+ds1', packaged('1.1.5+ds1-1+deb12u2', 'CVE-2024-21626', ...ALL_2025), 'good'],
    ['runc version 1.1.5+ds1', packaged('1.1.5+ds1-1', 'CVE-2023-27561'), 'refused'],
    ['runc version 1.1.5+ds1', packaged('1.1.5+ds1-1+deb12u9', 'CVE-2023-27561'), 'refused'],
    ['runc version 1.1.7-0ubuntu1~22.04.2', { version: '1.1.7-0ubuntu1~22.04.2' }, 'dated'],
    ['runc version 1.1.5+ds1', { version: '1.1.5+ds1-1' }, 'refused'],
    ['crun 1.8', undefined, 'refused'],
  ])('%j (package %j) is %s', (text, from, status) => {
    expect(judgeRuntime('runc', text, from as RuntimePackage | undefined).status).toBe(status);
  });

  test('is told with the CVEs that are open', () => {
    expect(judgeRuntime('runc', 'runc version 1.3.4')).toMatchObject({
      warning: expect.stringMatching(/^runc 1\.3\.4 lacks the fixes of CVE-2026-41579: an image whose/),
    });
    expect(judgeRuntime('runc', 'runc version 1.1.11')).toMatchObject({
      reason: expect.stringContaining('(CVE-2024-21626: '),
    });
  });
});

describe('the version of crun', () => {
  test.each([
    ['crun version 1.8.1\ncommit: f8a096\n', undefined, 'dated'],
    ['crun version 1.28\n', undefined, 'good'],
    ['crun version 1.29.1\n', undefined, 'good'],
    ['crun version 0.10.4\n', undefined, 'refused'],
    ['crun version 0.10.4\n', { version: '0.10.4-1', fixes: new Set(['CVE-2019-18837']) }, 'dated'],
    ['crun version UNKNOWN\n', undefined, 'refused'],
    ['runc version 1.3.6', undefined, 'refused'],
  ])('%j (package %j) is %s', (text, from, status) => {
    expect(judgeRuntime('crun', text, from).status).toBe(status);
  });

  test('is told with the CVEs that are open in it, and not with those that came later', () => {
    const told = (text: string): object => judgeRuntime('crun', text);
    expect(told('crun version 1.8.1')).toMatchObject({ warning: expect.stringContaining('CVE-2025-24965') });
    expect(told('crun version 1.8.1')).toMatchObject({ warning: expect.not.stringContaining('CVE-2026-30892') });
    expect(told('crun version 1.19')).toMatchObject({ warning: expect.stringContaining('CVE-2026-30892') });
  });
});

describe('signals', () => {
  test.each([
    ['SIGTERM', 15],
    ['term', 15],
    ['9', 9],
    ['SIGRTMIN+3', 37],
    ['RTMAX-1', 63],
  ])('%s is %d', (text, number) => expect(parseSignal(text)).toBe(number));

  test.each(['SIGNOPE', '0', '65', '', 'RTMIN+99'])('%j is refused', (text) => {
    expect(() => parseSignal(text)).toThrow(expect.objectContaining({ code: 'SIGNAL_INVALID' }));
  });
});

describe('name resolution inside', () => {
  test('leaves out resolvers that only the host can reach', () => {
    const text = 'nameserver 127.0.0.53\nnameserver ::1\nnameserver 10.0.0.2\nsearch example\noptions edns0\n';
    expect(containerResolvConf(text)).toBe('nameserver 10.0.0.2\nsearch example\noptions edns0\n');
  });

  test('knows the container by its name', () => {
    expect(hostsFile('web', '10.1.2.3')).toContain('10.1.2.3\tweb\n');
  });
});

describe('address ranges', () => {
  test('are compared by what they cover', () => {
    expect(ipv4Range('10.1.2.3/8')).toEqual({ first: 10 * 2 ** 24, last: 11 * 2 ** 24 - 1 });
    expect(ipv4Range('default')).toBeUndefined();
    expect(ipv4Range('10.1.2.300')).toBeUndefined();
    expect(overlaps('10.192.0.0/22', '10.192.3.7')).toBe(true);
    expect(overlaps('10.192.0.0/22', '10.192.4.0/22')).toBe(false);
  });

  test('are all in 10.192.0.0/10, each once, from a place of the platform’s own', () => {
    const all = [...subnetCandidates('ffffff')].map(({ cidr }) => cidr);
    expect(all).toHaveLength(4096);
    expect(new Set(all).size).toBe(4096);
    expect(all.every((cidr) => overlaps(cidr, '10.192.0.0/10'))).toBe(true);
    expect(all[0]).not.toBe([...subnetCandidates('000000')][0]?.cidr);
  });
});

describe('packet rules', () => {
  const SAVED = [
    '*raw',
    '-A PREROUTING -d 127.0.0.0/8 -i wha1b2c3 -m comment --comment wharf-a1b2c3 -j DROP',
    'COMMIT',
    '*filter',
    '-A CNI-FORWARD -s 10.200.0.2/32 -j ACCEPT',
    '-A CNI-FORWARD -s 10.88.0.2/32 -j ACCEPT',
    '-A FORWARD -s 0.0.0.0/0 -j DROP',
    '-A FORWARD -s 10.0.0.0/8 -j ACCEPT',
    'COMMIT',
    '*nat',
    '-A POSTROUTING -s 10.200.0.2/32 -m comment --comment "name: \\"wharf-a1b2c3\\" id: \\"x\\"" -j CNI-0123456789abcdef01234567',
    '-A POSTROUTING -s 10.88.0.2/32 -m comment --comment "name: \\"podman\\" id: \\"y\\"" -j CNI-aaaaaaaaaaaaaaaaaaaaaaaa',
    '-A CNI-DN-e87c2b14886b8a6929dd3 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.200.0.2:80',
    'COMMIT',
  ].join('\n');

  test('of a platform are told from everybody else’s', () => {
    const own = findOwnRules(SAVED, { networkName: 'wharf-a1b2c3', bridge: 'wha1b2c3', cidr: '10.200.0.0/22' });
    expect(own.rules.map(({ table }) => table)).toEqual(['raw', 'filter', 'nat', 'nat']);
    expect(own.chains).toEqual([
      { table: 'nat', chain: 'CNI-0123456789abcdef01234567' },
      { table: 'nat', chain: 'CNI-DN-e87c2b14886b8a6929dd3' },
    ]);
  });

  test('of another platform leave this one without any', () => {
    expect(
      findOwnRules(SAVED, { networkName: 'wharf-ffffff', bridge: 'whffffff', cidr: '10.210.0.0/22' }).rules,
    ).toEqual([]);
  });
});
