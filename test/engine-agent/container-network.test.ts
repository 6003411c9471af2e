/** What a container's network gives it: names, links, published ranges, an address shared by a task, or nothing. */
import { expect, test } from '@jest/globals';
import { hostResidue } from '../../lib/runtime/index.js';
import { isContainer, isStopped, payloadOf, script } from './agent-host.js';
import { AgentSuite, describeAgent } from './agent-suite.js';

describeAgent('the network of a container', () => {
  const suite = new AgentSuite();

  test('hostname, further hosts and resolvers are what was asked for', async () => {
    const lines = await suite.output(
      payloadOf({
        app: script('hostname; grep db.internal /etc/hosts; cat /etc/resolv.conf | grep -v "^#" | grep -E "name|sea"', {
          hostname: 'box.example',
          extraHosts: [{ name: 'db.internal', address: '10.9.8.7' }],
          dnsServers: ['10.0.0.53'],
          dnsSearchDomains: ['corp.example', 'example'],
        }),
      }),
    );
    expect(lines).toEqual([
      'box.example',
      '10.9.8.7\tdb.internal',
      'search corp.example example',
      'nameserver 10.0.0.53',
    ]);
  });

  test('links give names to containers that start first', async () => {
    const lines = await suite.output(
      payloadOf(
        {
          app: script('wget -q -O - http://site/; grep -c -E "\\b(web|site)$" /etc/hosts', {
            links: [{ container: 'web', alias: 'site' }],
            dependsOn: [{ containerName: 'web', condition: 'HEALTHY' }],
          }),
          web: script('httpd -f -p 80 -h /www', {
            essential: false,
            stopTimeoutSeconds: 0,
            healthCheck: {
              command: ['CMD-SHELL', 'wget -q -O /dev/null http://127.0.0.1/'],
              intervalSeconds: 0.1,
              timeoutSeconds: 5,
              retries: 9,
              startPeriodSeconds: 0,
            },
          }),
        },
        { networkMode: 'bridge' },
      ),
    );
    expect(lines).toEqual(['hello from a task', '2']);
  });

  test('a range of ports is published as a range', async () => {
    const taskId = suite.start(
      payloadOf(
        {
          app: script('for p in 8000 8001 8002; do httpd -p $p -h /www; done; echo up; sleep 1000', {
            portMappings: [{ containerPort: 8000, lastContainerPort: 8002, protocol: 'tcp' }],
            stopTimeoutSeconds: 0,
          }),
        },
        { networkMode: 'bridge' },
      ),
    );
    const { networkBindings = [] } = await suite.host.event(isContainer(taskId, 'app', 'RUNNING'));
    await suite.wrote(taskId, 'up');
    const first = networkBindings[0]?.hostPort ?? 0;
    expect(networkBindings.map(({ hostPort }) => hostPort)).toEqual([first, first + 1, first + 2]);
    expect(networkBindings[1]?.range).toEqual({ container: '8000-8002', host: `${first}-${first + 2}` });
    for (const { hostPort } of networkBindings) {
      expect(await (await fetch(`http://127.0.0.1:${hostPort}/`)).text()).toBe('hello from a task\n');
    }
    await suite.stop(taskId);
  });

  test('the containers of an awsvpc task share one address, and reach one another on loopback', async () => {
    const taskId = suite.start(
      payloadOf(
        {
          app: script('wget -q -O - http://127.0.0.1:80/; ip -4 addr show eth0 | grep -c inet', {
            dependsOn: [{ containerName: 'web', condition: 'HEALTHY' }],
            portMappings: [],
          }),
          web: script('httpd -f -p 80 -h /www', {
            essential: false,
            stopTimeoutSeconds: 0,
            portMappings: [{ containerPort: 80, protocol: 'tcp' }],
            healthCheck: {
              command: ['CMD-SHELL', 'wget -q -O /dev/null http://127.0.0.1/'],
              intervalSeconds: 0.1,
              timeoutSeconds: 5,
              retries: 9,
              startPeriodSeconds: 0,
            },
          }),
        },
        { networkMode: 'awsvpc' },
      ),
    );
    const web = await suite.host.event(isContainer(taskId, 'web', 'RUNNING'));
    expect(web).toMatchObject({ ownInterface: true, networkBindings: [], address: expect.stringMatching(/^10\./) });
    expect((await suite.host.event(isContainer(taskId, 'app', 'RUNNING'))).address).toBe(web.address);
    await expect(suite.logOf(taskId)).resolves.toEqual(['hello from a task', '1']);
    await suite.host.event(isStopped(taskId));
    expect((await hostResidue(suite.host.scope)).filter((line) => line.includes(taskId))).toEqual([]);
  });

  test('a container without network has none in a task that has', async () => {
    await expect(
      suite.output(
        payloadOf({ app: script('ls /sys/class/net', { disableNetworking: true }) }, { networkMode: 'bridge' }),
      ),
    ).resolves.toEqual(['lo']);
  });
});
