/** Values inside instructions: durations, ports, modes, mounts, signals, arguments. */
import { describe, expect, test } from '@jest/globals';
import {
  globalArguments,
  parseChmod,
  parseDockerfile,
  parseDuration,
  parseExposePort,
  parseMount,
  parseSize,
  parseStopSignal,
  platformArgs,
  predefinedArgs,
} from '../../lib/dockerfile/index.js';
import { AppError } from '../../lib/errors/index.js';

describe('durations', () => {
  test.each([
    ['0', 0],
    ['1ns', 1],
    ['1us', 1000],
    ['1µs', 1000],
    ['30s', 30e9],
    ['1h15m30.918s', 4_530_918_000_000],
    ['.5s', 500_000_000],
    ['1.s', 1e9],
    ['-1.5h', -5400e9],
    ['+5s', 5e9],
    ['0.1000000000000000000000001s', 100_000_000],
  ])('%s is %d ns', (text, nanoseconds) => {
    expect(parseDuration(text)).toBe(nanoseconds);
  });
  test.each(['', '3', '-', 's', '.', '1x', '1s 2s', '.s', '1m30', '99999999999h', '1e3s'])('%j is none', (text) => {
    expect(() => parseDuration(text)).toThrow(expect.objectContaining({ code: 'DOCKERFILE_DURATION' }));
  });
});

describe('ports', () => {
  test.each([
    ['80', ['80/tcp']],
    ['80/', ['80/tcp']],
    ['53/UDP', ['53/udp']],
    ['1-3/sctp', ['1/sctp', '2/sctp', '3/sctp']],
    ['7-7', ['7/tcp']],
    ['8080:80', ['80/tcp']],
    ['127.0.0.1:8080:80/udp', ['80/udp']],
    ['[::1]:8080:80', ['80/tcp']],
    ['8000-8009:80', ['80/tcp']],
    ['0', ['0/tcp']],
  ])('%s is %j', (text, ports) => {
    expect(parseExposePort(text).ports).toEqual(ports);
  });
  test.each(['', '/tcp', 'http', '65536', '-1', '3-1', '80/http', '1.2.3:1:2', '1-2:3-9', '1-', '80:', '0x50'])(
    '%j is refused',
    (text) => {
      expect(() => parseExposePort(text)).toThrow(expect.objectContaining({ code: 'DOCKERFILE_PORT' }));
    },
  );
  test('what EXPOSE cannot do is told', () => {
    expect(parseExposePort('80')).toMatchObject({ hasHostPart: false, protocol: 'tcp' });
    expect(parseExposePort('9:80/TCP')).toMatchObject({ hasHostPart: true, protocol: 'TCP' });
  });
});

describe('file modes', () => {
  test.each([
    ['0755', 0o600, false, 0o755],
    ['7777', 0, false, 0o7777],
    ['u=rwX,go=rX', 0o600, false, 0o644],
    ['u=rwX,go=rX', 0o600, true, 0o755],
    ['u=rwX,go=rX', 0o700, false, 0o755],
    ['+x', 0o644, false, 0o755],
    ['a-w', 0o666, false, 0o444],
    ['go-rwx', 0o755, false, 0o700],
    ['g=u', 0o740, false, 0o770],
    ['o=g-w', 0o770, false, 0o775],
    ['g+u', 0o700, false, 0o770],
    ['o-u', 0o757, false, 0o750],
    ['u+s', 0o755, false, 0o4755],
    ['g+s', 0o755, false, 0o2755],
    ['o+s', 0o755, false, 0o755],
    ['+t', 0o755, true, 0o1755],
    ['u=rw', 0o4755, false, 0o655],
    ['g=u', 0o2740, false, 0o2770],
    ['=r', 0o755, false, 0o444],
    ['-X', 0o755, false, 0o644],
    ['u+x,X', 0o644, false, undefined],
    ['u=', 0o755, false, 0o055],
    ['u+w-x', 0o500, false, 0o600],
    ['u=rw,g=r,o=', 0o777, false, 0o640],
  ])('%s makes of %o (folder: %s) %o', (text, mode, isDirectory, expected) => {
    if (expected === undefined) expect(() => parseChmod(text)).toThrow(AppError);
    else expect(parseChmod(text).apply(mode, isDirectory).toString(8)).toBe(expected.toString(8));
  });
  test.each(['', 'rwx', '0o755', '888', '10000', 'u', 'u+x,', 'z+x', 'u+y', '+x ', '755x'])('%j is none', (text) => {
    expect(() => parseChmod(text)).toThrow(expect.objectContaining({ code: 'DOCKERFILE_CHMOD' }));
  });
});

describe('mounts', () => {
  test('bind is the default, and read-only', () => {
    expect(parseMount('target=/x')).toEqual({ type: 'bind', target: '/x', readOnly: true, required: false });
    expect(parseMount('type=bind,dst=/x,rw').readOnly).toBe(false);
    expect(parseMount('type=bind,destination=/x,ro=false').readOnly).toBe(false);
  });
  test('each type has its keys', () => {
    expect(parseMount('type=CACHE,id=a,target=/c,sharing=Locked,mode=0700,uid=1,gid=2,from=base,src=/s')).toEqual({
      type: 'cache',
      id: 'a',
      target: '/c',
      sharing: 'locked',
      mode: 0o700,
      uid: 1,
      gid: 2,
      from: 'base',
      source: '/s',
      readOnly: false,
      required: false,
    });
    expect(parseMount('type=tmpfs,target=/t,size=64m')).toMatchObject({ sizeBytes: 64 << 20, readOnly: false });
    expect(parseMount('type=secret,id=s,env=TOKEN,required')).toMatchObject({ env: 'TOKEN', required: true });
    expect(parseMount('type=ssh,mode=0600,required=true')).toMatchObject({ type: 'ssh', required: true });
    expect(parseMount('type=secret,"id=a,b"')).toMatchObject({ id: 'a,b' });
  });
  test('values are expanded first', () => {
    const mount = parseMount('type=$T,target=$X', (word) => (word === '$T' ? 'tmpfs' : '/there'));
    expect(mount).toMatchObject({ type: 'tmpfs', target: '/there' });
  });
  test.each([
    ['type=volume', 'mount type "volume" is not known'],
    ['typ=bind', 'a mount has no "typ"'],
    ['bind', 'is no key=value pair'],
    ['type=bind,mode=0755', 'mount type "bind" has no "mode"'],
    ['type=tmpfs,uid=1', 'mount type "tmpfs" has no "uid"'],
    ['type=cache,required', 'mount type "cache" has no "required"'],
    ['type=cache,size=1', 'mount type "cache" has no "size"'],
    ['type=bind,sharing=shared', 'mount type "bind" has no "sharing"'],
    ['type=cache,sharing=some', 'sharing "some" is not known'],
    ['type=cache,mode=99', '"99" is no mode'],
    ['type=cache,uid=-1', '"-1" is no uid'],
    ['type=tmpfs,size=big', '"big" is no size'],
    ['type=secret', 'a secret mount names no secret'],
    ['type=secret,id=a,src=b', 'both "source" and "id"'],
    ['type=secret,id=a,from=b', 'a secret mount has no "from"'],
    ['type=bind,ro=perhaps', '"ro" is true or false'],
    ['', 'is empty'],
    ['"type=bind', 'has a " without its partner'],
    ['"type"=bind', 'has text after a quoted field'],
  ])('%j is refused: %s', (value, what) => {
    expect(() => parseMount(value)).toThrow(what);
    expect(() => parseMount(value)).toThrow(AppError);
  });
  test.each([
    ['1', 1],
    ['1b', 1],
    ['1k', 1024],
    ['1KB', 1024],
    ['1.5MiB', 1_572_864],
    ['2 g', 2 ** 31],
    ['1kib2', undefined],
    ['-1', undefined],
    ['k', undefined],
  ])('size %s is %s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });
});

describe('signals', () => {
  test.each([
    ['SIGTERM', 15],
    ['term', 15],
    ['9', 9],
    ['SIGRTMIN', 34],
    ['RTMIN+3', 37],
    ['RTMAX-14', 50],
    ['SIGCHLD', 17],
    ['IOT', 6],
    ['SIGSYS', 31],
  ])('%s is %d', (text, number) => {
    expect(parseStopSignal(text)).toBe(number);
  });
  test.each(['', '0', 'SIGNOPE', 'RTMIN+16', 'RTMAX-15', '$X', 'toString'])('%j is none', (text) => {
    expect(() => parseStopSignal(text)).toThrow(expect.objectContaining({ code: 'DOCKERFILE_SIGNAL' }));
  });
});

describe('arguments', () => {
  const linux = { os: 'linux', architecture: 'amd64' };
  const arm = { os: 'linux', architecture: 'arm', variant: 'v7' };

  test('there are ten proxy names', () => {
    expect(predefinedArgs.join(' ')).toBe(
      'HTTP_PROXY http_proxy HTTPS_PROXY https_proxy FTP_PROXY ftp_proxy NO_PROXY no_proxy ALL_PROXY all_proxy',
    );
  });
  test('the platform arguments are all set, some of them empty', () => {
    expect(Object.fromEntries(platformArgs(linux, arm, 'app'))).toEqual({
      BUILDPLATFORM: 'linux/amd64',
      BUILDOS: 'linux',
      BUILDOSVERSION: '',
      BUILDARCH: 'amd64',
      BUILDVARIANT: '',
      TARGETPLATFORM: 'linux/arm/v7',
      TARGETOS: 'linux',
      TARGETOSVERSION: '',
      TARGETARCH: 'arm',
      TARGETVARIANT: 'v7',
      TARGETSTAGE: 'app',
    });
  });
  test('a default sees the arguments before it, and a build argument beats it', () => {
    const file = parseDockerfile('ARG A=1\nARG B=${A}-$TARGETARCH C\nARG D=$C\nFROM x:$B');
    const platform = platformArgs(linux, arm);
    const plain = globalArguments(file, platform);
    expect([plain.get('B'), plain.has('C'), plain.get('D')]).toEqual(['1-arm', false, '']);
    const given = globalArguments(
      file,
      platform,
      new Map(Object.entries({ A: '2', C: 'c', TARGETARCH: 'z', X: 'no' })),
    );
    expect([given.get('B'), given.get('D'), given.has('X')]).toEqual(['2-z', 'c', false]);
  });
  test('a default that does not expand is refused at its place', () => {
    const file = parseDockerfile('ARG A=1\nARG B=${A^}\nFROM x');
    expect(() => globalArguments(file, new Map())).toThrow(/^Dockerfile:2:7: /);
  });
});
