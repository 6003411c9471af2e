import { createServer } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  BridgeNetwork,
  bridgeName,
  hostResidue,
  mustRun,
  runCommand,
  type ContainerSpec,
  SupervisedContainers,
  sweepHost,
} from '../../lib/runtime/index.js';
import { requireTools } from '../host-tools.js';
import { type RuntimeFixture, runtimeFixture } from './runtime-fixture.js';
import { freePort } from '../free-port.js';

requireTools('root', 'runc', 'conmon', 'ip', 'iptables', 'bridge', 'flock').describe('the bridge network', () => {
  let fixture: RuntimeFixture;
  let network: BridgeNetwork;
  let containers: SupervisedContainers;
  beforeAll(async () => {
    fixture = await runtimeFixture();
    network = await BridgeNetwork.open(fixture.scope);
    containers = new SupervisedContainers(fixture);
  });
  afterAll(async () => {
    containers.close();
    await fixture.close();
  });

  const startOn = async (
    id: string,
    script: string,
    ports: Parameters<BridgeNetwork['attach']>[1] = {},
  ): Promise<string> => {
    const { netnsPath, address } = await network.attach(id, ports);
    const spec: ContainerSpec = await fixture.container(id, script, {
      network: { mode: 'namespace', path: netnsPath },
    });
    await containers.create(spec, address);
    await containers.start(id);
    return address;
  };
  const firstLine = async (id: string): Promise<string> => {
    for await (const line of containers.log(id, { follow: true, ended: () => false })) return line.text;
    return '';
  };

  test('publishes a port on 127.0.0.1, gives a way out to the host, and keeps the host’s loopback to itself', async () => {
    const port = await freePort();
    await startOn('net-web', 'httpd -p 80 -h /www; echo serving; sleep 1000', {
      ports: [{ containerPort: 80, hostPort: port, hostIp: '127.0.0.1', protocol: 'tcp' }],
    });
    await expect(firstLine('net-web')).resolves.toBe('serving');
    const response = await fetch(`http://127.0.0.1:${port}/`);
    await expect(response.text()).resolves.toBe('hello from inside\n');

    // Another container reaches it by its address, and the gateway of the host.
    const inside = await containers.exec('net-web', ['/bin/ip', 'route'], { timeoutMs: 5000 });
    expect(inside.output).toContain(`default via ${network.subnet.gateway}`);
    const rules = await mustRun('iptables-save', ['-t', 'raw']);
    expect(rules.stdout).toContain(`-d 127.0.0.0/8 -i ${bridgeName(fixture.scope)}`);
  });

  test('lets containers reach one another and a server of the host', async () => {
    const server = createServer((socket) => socket.end('from the host\n'));
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const peer = (await network.find('net-web'))?.address;
    try {
      await startOn(
        'net-client',
        `nc ${network.subnet.gateway} ${port}; printf "GET / HTTP/1.0\\r\\n\\r\\n" | nc ${peer} 80 | tail -n 1`,
      );
      await containers.waitExit('net-client');
      const seen: string[] = [];
      for await (const line of containers.log('net-client', { ended: () => true })) seen.push(line.text);
      expect(seen).toEqual(['from the host', 'hello from inside']);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  test('attaches once and detaches once, however often it is asked', async () => {
    const first = await network.attach('net-twice');
    await expect(network.attach('net-twice')).resolves.toEqual(first);
    const again = await BridgeNetwork.open(fixture.scope);
    await expect(again.attach('net-twice')).resolves.toEqual(first);
    await network.detach('net-twice');
    await network.detach('net-twice');
    await expect(network.find('net-twice')).resolves.toBeUndefined();
    expect((await hostResidue(fixture.scope)).filter((line) => line.includes('net-twice'))).toEqual([]);
  });

  test('gives every container another address, also when they come at once', async () => {
    const ids = ['net-a', 'net-b', 'net-c'];
    const addresses = await Promise.all(ids.map((id) => network.attach(id)));
    expect(new Set(addresses.map(({ address }) => address)).size).toBe(3);
    for (const id of ids) await network.detach(id);
  });

  test('puts back a packet rule that somebody took away, with a later container', async () => {
    const rule = `-d 127.0.0.0/8 -i ${bridgeName(fixture.scope)}`;
    const said = async (): Promise<string> => (await mustRun('iptables-save', ['-t', 'raw'])).stdout;
    await network.attach('net-before');
    const line = (await said()).split('\n').find((each) => each.includes(rule)) ?? '';
    await mustRun('iptables-restore', ['-w', '10', '--noflush'], {
      input: `*raw\n${line.replace(/^-A/, '-D')}\nCOMMIT\n`,
    });
    await expect(said()).resolves.not.toContain(rule);
    for (let round = 0; !(await said()).includes(rule) && round < 100; round += 1) {
      await network.attach('net-after');
      await network.detach('net-after');
    }
    await expect(said()).resolves.toContain(rule);
    await network.detach('net-before');
  });

  test('is swept of all that is not kept, and goes without a trace', async () => {
    await network.attach('net-stray');
    await sweepHost(fixture, new Set(['net-web']));
    await expect(network.attached()).resolves.toEqual(['net-web']);
    await expect(containers.state('net-web')).resolves.toMatchObject({ status: 'running' });
    await sweepHost(fixture, new Set());
    await expect(hostResidue(fixture.scope)).resolves.toEqual([]);
    const link = await runCommand('ip', ['link', 'show', bridgeName(fixture.scope)]);
    expect(link.exitCode).not.toBe(0);
  });
});
