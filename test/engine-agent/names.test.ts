/** Names of services, asked from inside containers: who finds whom, and what is asked of others. */
import { createSocket, type Socket } from 'node:dgram';
import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { answerMessage, parseQuestion, RecordType } from '../../lib/engine/agent/names/dns-message.js';
import { framed, unframed } from '../../lib/engine/agent/names/forwarder.js';
import { serviceAnswers } from '../../lib/engine/agent/names/service-answers.js';
import type { ServiceNames } from '../../lib/engine/agent/index.js';
import { isContainer, isStopped, payloadOf, script } from './agent-host.js';
import { AgentSuite, describeAgent } from './agent-suite.js';

function queryOf(name: string, type: number = RecordType.A): Buffer {
  const labels = name.split('.').flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]);
  const head = Buffer.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([head, ...labels, Buffer.from([0, type >> 8, type & 0xff, 0, 1])]);
}

/** Answers every question for an address with 192.0.2.1, by UDP and TCP on one port, and counts. */
class Upstream {
  readonly asked: string[] = [];
  readonly udp: Socket = createSocket('udp4');
  readonly tcp: Server = createServer((socket) => {
    socket.on('data', (bytes) => {
      const [query] = unframed(bytes);
      if (query !== undefined) socket.write(framed(this.answer(query)));
    });
  });
  port = 0;

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.udp.bind(0, '127.0.0.1', resolve));
    this.port = this.udp.address().port;
    await new Promise<void>((resolve) => this.tcp.listen(this.port, '127.0.0.1', resolve));
    this.udp.on('message', (query, { port, address }) => this.udp.send(this.answer(query), port, address));
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.udp.close(() => resolve()));
    await new Promise((resolve) => this.tcp.close(resolve));
  }

  private answer(query: Buffer): Buffer {
    const question = parseQuestion(query);
    if (question === undefined) throw new Error('no question');
    this.asked.push(question.name);
    const answers = question.type === RecordType.A ? [{ type: 'A' as const, address: '192.0.2.1' }] : [];
    return answerMessage(query, question, answers, { ttlSeconds: 60, udp: true });
  }
}

describe('a question', () => {
  const tasks: ServiceNames = {
    name: 'Web',
    tasks: [
      { taskId: 'a1', address: '10.0.0.1', ports: [{ port: 8080, protocol: 'tcp', name: 'http' }] },
      { taskId: 'b2', address: '10.0.0.2', ports: [{ port: 8080, protocol: 'tcp', name: 'http' }] },
    ],
  };
  const ask = (name: string, type: number = RecordType.A): ReturnType<typeof serviceAnswers> =>
    serviceAnswers({ name, type }, 'Shop', async (_, service) => (service === 'web' ? tasks : undefined));
  const srv = (taskId: string): object => ({ type: 'SRV', port: 8080, target: `${taskId}.Web.Shop` });

  test('for a service of the cluster gives its tasks, their ports, one port by name, one task', async () => {
    const addresses = ['10.0.0.1', '10.0.0.2'].map((address) => ({ type: 'A', address }));
    await expect(ask('web.shop')).resolves.toEqual(addresses);
    await expect(ask('web.shop', RecordType.SRV)).resolves.toEqual([srv('a1'), srv('b2')]);
    await expect(ask('_http._tcp.web.shop', RecordType.SRV)).resolves.toEqual([srv('a1'), srv('b2')]);
    await expect(ask('_http._udp.web.shop', RecordType.SRV)).resolves.toEqual([]);
    await expect(ask('b2.web.shop')).resolves.toEqual([addresses[1]]);
    await expect(ask('web.shop', RecordType.AAAA)).resolves.toEqual([]);
  });

  test.each(['web', 'web.other', 'other.shop', 'c3.web.shop', 'x.y.z.web.shop', 'shop', ''])(
    'for %j is somebody else’s',
    async (name) => expect(ask(name)).resolves.toBeUndefined(),
  );

  test('is read only when it is one', () => {
    const query = queryOf('Web.Shop');
    expect(parseQuestion(query)).toEqual({ name: 'web.shop', type: RecordType.A, end: query.length });
    for (let length = 0; length < query.length; length += 1) {
      expect(parseQuestion(query.subarray(0, length))).toBeUndefined();
    }
    const response = Buffer.from(query).fill(0x81, 2, 3);
    expect(parseQuestion(response)).toBeUndefined();
    const pointing = Buffer.from(query).fill(0xc0, 12, 13);
    expect(parseQuestion(pointing)).toBeUndefined();
  });

  test('with more answers than a packet holds says so', () => {
    const query = queryOf('web.shop');
    const question = parseQuestion(query);
    if (question === undefined) throw new Error('no question');
    const answers = Array.from({ length: 50 }, (_, i) => ({ type: 'A' as const, address: `10.0.0.${i}` }));
    const byUdp = answerMessage(query, question, answers, { ttlSeconds: 5, udp: true });
    expect([byUdp.length <= 512, byUdp.readUInt16BE(2) & 0x0200, byUdp.readUInt16BE(6)]).toEqual([true, 0x0200, 30]);
    const byTcp = answerMessage(query, question, answers, { ttlSeconds: 5, udp: false });
    expect([byTcp.readUInt16BE(2) & 0x0200, byTcp.readUInt16BE(6)]).toEqual([0, 50]);
  });
});

describeAgent('a container', () => {
  const upstream = new Upstream();
  beforeAll(() => upstream.listen());
  const suite = new AgentSuite(() => ({ nameServers: [{ address: '127.0.0.1', port: upstream.port }] }));
  afterAll(() => upstream.close());

  const services = new Map<string, ServiceNames>();
  const find = (name: string): string =>
    `nslookup -type=a ${name} | grep -A9 Name: | grep ^Address | cut -d' ' -f2 | sort`;

  test('finds the services of its own cluster, and others nowhere', async () => {
    suite.host.agent.connect?.({
      call: async () => ({}),
      lookUp: async (cluster, service) => services.get(`${service}.${cluster}`),
      lookUpAlias: async (cluster, name) => (name === 'web.internal' ? services.get(`web.${cluster}`) : undefined),
    });
    const web = suite.start(
      payloadOf(
        { app: script('httpd -p 80 -h /www; echo up; sleep 1000', { stopTimeoutSeconds: 0 }) },
        { networkMode: 'bridge', clusterName: 'shop' },
      ),
    );
    await suite.wrote(web, 'up');
    const { address = '' } = await suite.host.event(isContainer(web, 'app', 'RUNNING'));
    services.set('web.shop', { name: 'web', tasks: [{ taskId: web, address, ports: [] }] });
    const from = (clusterName: string, networkMode: 'bridge' | 'awsvpc'): Promise<string[]> =>
      suite.output(
        payloadOf(
          {
            app: script(
              `${find('web.shop')}; ${find('example.com')}; wget -q -O - http://web.shop/ || true; ${find('web.internal')}`,
            ),
          },
          { networkMode, clusterName },
        ),
      );
    await expect(from('shop', 'bridge')).resolves.toEqual([address, '192.0.2.1', 'hello from a task', address]);
    expect(upstream.asked).not.toContain('web.shop');
    await expect(from('shop', 'awsvpc')).resolves.toEqual([address, '192.0.2.1', 'hello from a task', address]);
    // Another cluster asks the host's resolver, which here knows an address for everything.
    const [elsewhere] = await from('other', 'bridge');
    expect(elsewhere).toBe('192.0.2.1');
    expect(upstream.asked).toContain('web.shop');
    await suite.stop(web);
  });

  test('sees tasks come and go, also after a restart of the agent', async () => {
    const payload = payloadOf(
      {
        app: script(`while true; do ${find('web.shop')} | tr "\\n" " "; echo; sleep 0.1; done`, {
          stopTimeoutSeconds: 0,
        }),
      },
      { networkMode: 'bridge', clusterName: 'shop' },
    );
    const at = (...addresses: string[]): void => {
      const tasks = addresses.map((address, i) => ({ taskId: `${i}`, address, ports: [] }));
      services.set('web.shop', { name: 'web', tasks });
    };
    at('10.9.9.1');
    const taskId = suite.start(payload);
    await suite.wrote(taskId, '10.9.9.1 ');
    at('10.9.9.1', '10.9.9.2');
    await suite.wrote(taskId, '10.9.9.1 10.9.9.2 ');
    await suite.reopen();
    suite.host.agent.connect?.({ call: async () => ({}), lookUp: async () => services.get('web.shop') });
    suite.start(payload);
    at('10.9.9.3');
    await suite.wrote(taskId, '10.9.9.3 ');
    at();
    await suite.wrote(taskId, '');
    await suite.stop(taskId);
    await suite.host.event(isStopped(taskId));
  });
});
