import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DescribeClustersCommand, ECSClient } from '@aws-sdk/client-ecs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type AccessKey, type SignedRequest, verifySigV4 } from '../../lib/auth/index.js';
import { manualClock } from '../fakes/manual-clock.js';

const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const lookup = (id: string): Promise<AccessKey<string> | undefined> =>
  Promise.resolve(id === 'AKIDEXAMPLE' ? { secret: SECRET, owner: 'example' } : undefined);

/** The clock of AWS's published test vectors. */
const then = manualClock(Date.UTC(2015, 7, 30, 12, 36, 0));
const VECTOR_DATE = '20150830T123600Z';

function vector(signature: string, more: Partial<SignedRequest> = {}): SignedRequest {
  return {
    method: 'GET',
    path: '/',
    query: '',
    body: Buffer.alloc(0),
    ...more,
    headers: {
      host: 'example.amazonaws.com',
      'x-amz-date': VECTOR_DATE,
      authorization: `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=${signature}`,
    },
  };
}

describe('AWS test vectors', () => {
  test('get-vanilla verifies', async () => {
    const request = vector('5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31');
    expect(await verifySigV4(request, lookup, { service: 'service', clock: then })).toEqual({
      outcome: 'verified',
      accessKeyId: 'AKIDEXAMPLE',
      region: 'us-east-1',
      owner: 'example',
    });
  });

  test('get-vanilla is refused where another region is', async () => {
    const request = vector('5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31');
    const here = { service: 'service', clock: then };
    expect(await verifySigV4(request, lookup, { ...here, region: 'us-east-1' })).toMatchObject({ outcome: 'verified' });
    expect(await verifySigV4(request, lookup, { ...here, region: 'eu-west-1' })).toEqual({
      outcome: 'refused',
      code: 'InvalidSignatureException',
      message: "Credential should be scoped to a valid region: 'eu-west-1', not 'us-east-1'.",
    });
  });

  test('get-vanilla-query-order-key-case verifies, whatever the order the query came in', async () => {
    const signature = 'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500';
    for (const query of ['Param2=value2&Param1=value1', 'Param1=value1&Param2=value2']) {
      const result = await verifySigV4(vector(signature, { query }), lookup, { service: 'service', clock: then });
      expect(result.outcome).toBe('verified');
    }
  });
});

describe('requests of the real SDK', () => {
  const captured: SignedRequest[] = [];
  const now = { ...then, nowMs: () => Date.now() };
  let server: Server;

  beforeAll(async () => {
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const [path = '', query = ''] = (request.url ?? '').split('?');
        const headers = Object.fromEntries(
          Object.entries(request.headers).map(([name, value]) => [
            name,
            Array.isArray(value) ? value.join(',') : value,
          ]),
        );
        captured.push({ method: request.method ?? '', path, query, headers, body: Buffer.concat(chunks) });
        response.setHeader('content-type', 'application/x-amz-json-1.1').end('{}');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const client = new ECSClient({
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      region: 'eu-central-1',
      credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: SECRET, sessionToken: 'session/token+==' },
    });
    await client.send(new DescribeClustersCommand({ clusters: ['größe'] }));
    client.destroy();
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  const signed = (): SignedRequest => {
    const [request] = captured;
    if (request === undefined) throw new Error('the SDK sent nothing');
    return request;
  };
  const verify = (request: SignedRequest, service = 'ecs', clock = now) =>
    verifySigV4(request, lookup, { service, clock });
  const withHeaders = (headers: Record<string, string | undefined>): SignedRequest => ({
    ...signed(),
    headers: { ...signed().headers, ...headers },
  });

  test('an untouched request is verified', async () => {
    expect(await verify(signed())).toEqual({
      outcome: 'verified',
      accessKeyId: 'AKIDEXAMPLE',
      region: 'eu-central-1',
      owner: 'example',
    });
  });

  test('a change to body, path, query, method or a signed header is a mismatch', async () => {
    const changes: SignedRequest[] = [
      { ...signed(), body: Buffer.concat([signed().body, Buffer.from(' ')]) },
      { ...signed(), path: '/other' },
      { ...signed(), query: 'a=b' },
      { ...signed(), method: 'PUT' },
      withHeaders({ host: 'elsewhere' }),
      withHeaders({ 'x-amz-target': 'AmazonEC2ContainerServiceV20141113.DeleteCluster' }),
      withHeaders({ 'x-amz-security-token': 'other' }),
    ];
    for (const changed of changes) {
      expect(await verify(changed)).toMatchObject({ outcome: 'refused', code: 'InvalidSignatureException' });
    }
  });

  test('a request is refused when the clocks are more than five minutes apart', async () => {
    for (const minutes of [-6, 6]) {
      const clock = { ...now, nowMs: () => Date.now() + minutes * 60_000 };
      expect(await verify(signed(), 'ecs', clock)).toMatchObject({
        outcome: 'refused',
        code: 'InvalidSignatureException',
        message: expect.stringContaining('Signature expired'),
      });
    }
  });

  test('a signature for another service is refused', async () => {
    expect(await verify(signed(), 'ecr')).toMatchObject({ outcome: 'refused', code: 'InvalidSignatureException' });
  });

  test('an unknown access key is refused under its own name', async () => {
    const authorization = signed().headers['authorization']?.replace('AKIDEXAMPLE', 'AKIDUNKNOWN');
    expect(await verify(withHeaders({ authorization }))).toMatchObject({
      outcome: 'refused',
      code: 'UnrecognizedClientException',
    });
  });

  test('no Authorization is a missing token', async () => {
    expect(await verify(withHeaders({ authorization: undefined }))).toMatchObject({
      code: 'MissingAuthenticationTokenException',
    });
  });

  test.each([
    'Bearer x',
    'AWS4-HMAC-SHA256',
    'AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=x',
    'AWS4-HMAC-SHA256 Credential=a/20150830/r/ecs/aws4_request, Signature=x',
    'AWS4-HMAC-SHA256 Credential=a/20150830/r/ecs/aws4_request, SignedHeaders=x-amz-date;host, Signature=x',
    'AWS4-HMAC-SHA256 Credential=a/20150830/r/ecs/aws4_request, SignedHeaders=host;x-amz-date',
  ])('a malformed Authorization %j is an incomplete signature', async (authorization) => {
    expect(await verify(withHeaders({ authorization }))).toMatchObject({ code: 'IncompleteSignatureException' });
  });

  test('leaving the target out of the signed headers is refused even if the signature is right', async () => {
    const authorization = signed().headers['authorization']?.replace(';x-amz-target', '');
    expect(await verify(withHeaders({ authorization }))).toMatchObject({
      code: 'InvalidSignatureException',
      message: expect.stringContaining('x-amz-target'),
    });
  });
});
