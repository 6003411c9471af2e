/** What `wharf explain` prints of an answer in which instances differ by what a task would have to pull. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import type { Placement } from '../../lib/platform/index.js';
import { createCliFixture } from './cli-fixture.js';

const waiting: Placement = {
  cluster: 'main',
  service: 'shop',
  group: 'service:shop',
  taskDefinitionArn: 'arn:aws:ecs:us-east-1:000000000000:task-definition/shop:1',
  tasks: 2,
  atMs: 0,
  needs: { cpu: 256, memoryMiB: 512, tcpPorts: [80], udpPorts: [] },
  instances: [
    {
      instanceId: 'a'.repeat(32),
      instanceArn: 'arn:a',
      findings: [
        { dimension: 'cpu', need: 256, have: 0 },
        { dimension: 'ports', need: [80], have: [80] },
      ],
      bytesToPull: 52_428_800,
    },
    {
      instanceId: 'b'.repeat(32),
      instanceArn: 'arn:b',
      findings: [{ dimension: 'memory', need: 512, have: 128 }],
      bytesToPull: 0,
    },
  ],
  smallestFix: 'Ask for less CPU.',
};

test('each instance has what would have to be pulled there once, beside its first finding', async () => {
  const paths: string[] = [];
  const server = createServer((request, response) => {
    paths.push(request.url ?? '');
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ waiting }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cli = await createCliFixture();
  try {
    const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
    const ran = await cli.run(['explain', 'shop', '--cluster', 'main'], { env: { WHARF_URL: url } });
    expect(paths).toEqual(['/v1/clusters/main/services/shop/placement']);
    const rows = ran.stdout.split('\n').map((line) => line.split(/ {2,}/).map((cell) => cell.trim()));
    expect(rows).toEqual([
      ['shop: 2 tasks have no place; a task asks for 256 CPU units and 512 MiB'],
      [''],
      ['INSTANCE', 'WHAT', 'NEED', 'HAVE', 'TO PULL'],
      ['aaaaaaaaaaaa', 'cpu', '256', '0', expect.stringMatching(/^5\d(\.\d)? Mi?B$/)],
      ['', 'ports', '80', '80'],
      ['bbbbbbbbbbbb', 'memory', '512', '128', expect.stringMatching(/^0 B$/)],
      [''],
      ['Ask for less CPU.'],
      [''],
    ]);
  } finally {
    await cli.close();
    await new Promise((resolve) => server.close(resolve));
  }
});
