/** Secrets through the HTTP API: they reach the command, and no answer, log line or stored byte has them. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { BuildWorker, createBuilds } from '../../lib/build/index.js';
import type { HostScope } from '../../lib/runtime/index.js';
import type { Logger } from '../../lib/store/index.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { type ApiFixture, createApiFixture } from '../http/api-fixture.js';
import { requireTools } from '../host-tools.js';
import { holdsCanary, searchCanaries } from './canary-search.js';
import { BuilderHost } from './builder-host.js';
import type { BuildFixture } from './fixture.js';
import { newKey } from './ssh-agents.js';

const CANARIES = ['CANARY-api-file-2d91', 'CANARY-api-env-7c00', 'CANARY-api-unused-e3b5'];

requireTools('root', 'runc', 'ssh-agent').describe('a build started by the API with secrets', () => {
  let f: BuildFixture;
  let api: ApiFixture;
  let worker: BuildWorker;
  let host: BuilderHost;
  let directory: string;
  let scope: HostScope;
  const said: string[] = [];

  beforeAll(async () => {
    host = await BuilderHost.open();
    ({ directory, scope } = host);
    f = await host.builder();
    const { records, content, clock, ids } = f.store;
    const secrets = new RecordsSecretStore(records, { key: Buffer.alloc(32, 9) });
    const say = (...words: readonly unknown[]): void => void said.push(JSON.stringify(words));
    const logger: Logger = { debug: say, info: say, warn: say, error: say, child: () => logger };
    const builds = createBuilds({ records, content, queue: f.queue, clock, ids, secrets });
    worker = new BuildWorker({ builds, records, queue: f.queue, clock, ids, logger, build: f.builder.build });
    await worker.start();
    api = await createApiFixture({}, { builds, images: f.registry, content, records, logger });
  });
  afterAll(async () => {
    await worker.stop();
    await api.close();
    await host.close();
  });

  /** Keeps what was answered. */
  const call = async (path: string, body?: unknown): Promise<{ status: number; text: string }> => {
    const headers = { authorization: `Bearer ${api.tokens.deploy}`, 'idempotency-key': path };
    const json = { 'content-type': 'application/json' };
    const post = { method: 'POST', headers: { ...headers, ...json }, body: JSON.stringify(body) };
    const init = body === undefined ? { headers } : post;
    const response = await api.app.fetch(new Request(`http://wharf.test${path}`, init));
    const answer = { status: response.status, text: await response.text() };
    said.push(answer.text);
    return answer;
  };

  test('uses them and keeps nothing of them', async () => {
    const [file = '', env = '', unused = ''] = CANARIES;
    const key = await newKey(directory);
    const context = await f.context({
      Dockerfile: `FROM busybox
RUN --network=none --mount=type=secret,id=file --mount=type=secret,id=env,env=SECRET --mount=type=ssh,required \\
    test -S "$SSH_AUTH_SOCK" && wc -c < /run/secrets/file && cat /run/secrets/file && echo "$SECRET" && echo VISIBLE-9a1c > /ok`,
    });
    const base64 = (text: string | Buffer): string => Buffer.from(text).toString('base64');
    const secrets = { file: base64(file), env: base64(env), unused: base64(unused) };
    const request = { context, tags: ['api'], secrets, ssh: { default: [base64(key)] } };
    const started = await call('/v1/builds', request);
    expect(started.status).toBe(202);
    const { id } = JSON.parse(started.text) as { id: string };
    const log = await call(`/v1/builds/${id}/log`);
    expect(log.text).toContain(`${file.length}\\n`);
    expect(log.text).toContain('***');
    expect(JSON.parse((await call(`/v1/builds/${id}`)).text)).toMatchObject({ status: 'succeeded' });
    // The same key again: the first answer, from the record of it.
    expect((await call('/v1/builds', request)).status).toBe(202);
    await call('/v1/builds?limit=5');
    const lines = key.toString().split('\n').slice(1, 3);
    const canaries = [...CANARIES, ...lines];
    expect(said.filter((text) => holdsCanary(Buffer.from(text), canaries))).toEqual([]);
    const roots = [f.store.directory, api.base.store.directory, directory, `/run/wharf-${scope.id}`];
    const { hits, visible } = await searchCanaries(roots, canaries, 'VISIBLE-9a1c');
    expect(hits).toEqual([]);
    expect(visible).toBeGreaterThan(0);
  });

  test('refuses a value that is not base64, and a key that is none, without repeating it', async () => {
    const context = await f.context({ Dockerfile: 'FROM scratch' });
    const wrong = await call('/v1/builds', { context, tags: [], secrets: { s: `?${CANARIES[0]}` } });
    expect([wrong.status, JSON.parse(wrong.text)]).toMatchObject([
      400,
      { errors: [{ pointer: '/secrets/s', detail: 'is not base64' }] },
    ]);
    const noKey = Buffer.from(CANARIES[0] ?? '').toString('base64');
    const refused = await call('/v1/builds?x', { context, tags: [], ssh: { default: [noKey] } });
    expect(refused.text).not.toContain(CANARIES[0]);
    expect(refused.status).toBe(400);
  });
});
