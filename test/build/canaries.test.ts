/** Secrets go every way that a build knows, and no byte that is stored, sent to the log or told has them afterwards. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  type Build,
  type BuildRequest,
  BuildSecrets,
  type BuildService,
  BuildWorker,
  createBuilds,
  HandOver,
  ImageBuilder,
  sandboxElsewhere,
} from '../../lib/build/index.js';
import { type Logger, silentLogger } from '../../lib/store/index.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { requireTools } from '../host-tools.js';
import { BuilderHost, SMALL_MEMORY } from './builder-host.js';
import { holdsCanary, searchCanaries } from './canary-search.js';
import { buildFixture, type BuildFixture } from './fixture.js';
import { commit, git, startWebServer, type WebServer } from './remote-server.js';

const CANARIES = {
  file: 'CANARY-file-9f3a1c',
  env: 'CANARY-env-77b2e0',
  http: 'CANARY-http-51d0aa',
  git: 'CANARY-git-e1c7f2',
  unused: 'CANARY-unused-0c44de',
};
const canaries = Object.values(CANARIES);
/** Stands in what is stored on purpose. */
const VISIBLE = 'VISIBLE-4be1';
const EGRESS = { allow: ['127.0.0.0/8'] };

const MOUNTS = '--network=none --mount=type=secret,id=file --mount=type=secret,id=env,env=SECRET';
const SPOKEN = `RUN ${MOUNTS} cat /run/secrets/file; echo "$SECRET"; env; base64 /run/secrets/file 2>/dev/null; echo ${VISIBLE} > /ok`;
const FAILING = `RUN ${MOUNTS} cat /run/secrets/file >&2; echo "a $SECRET b" >&2; exit 4`;
/** Tries to put what it is given into its statement. */
const SCANNER = `FROM busybox
COPY --chmod=755 <<"scan" /scan
#!/bin/sh
printf '{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document","predicate":{"files":"%s","env":"%s"}}' \\
  "$(find $BUILDKIT_SCAN_SOURCE /run/secrets -type f | tr '\\n' ' ')" "$(env | tr '\\n' ' ')" > "$BUILDKIT_SCAN_DESTINATION/a.spdx.json"
scan
ENTRYPOINT ["/scan"]
`;

requireTools('root', 'runc', 'bridge', 'git').describe('canaries', () => {
  let f: BuildFixture;
  let host: BuilderHost;
  let web: WebServer;
  let builds: BuildService;
  let secrets: RecordsSecretStore;
  const told: string[] = [];
  const logger: Logger = {
    ...silentLogger,
    info: (...line) => void told.push(JSON.stringify(line)),
    warn: (...line) => void told.push(JSON.stringify(line)),
    error: (...line) => void told.push(JSON.stringify(line)),
    child: () => logger,
  };

  beforeAll(async () => {
    host = await BuilderHost.open();
    f = await host.builder({ sandbox: SMALL_MEMORY, hasNetwork: true, fetching: { egress: EGRESS } });
    await f.build({ Dockerfile: SCANNER }, { tags: ['scanner:1'] });
    const repositories = join(host.directory, 'repositories');
    await mkdir(join(repositories, 'work'), { recursive: true });
    git(join(repositories, 'work'), 'init', '-q', '-b', 'main');
    await commit(join(repositories, 'work'), { a: VISIBLE });
    git(repositories, 'clone', '-q', '--bare', 'work', 'app.git');
    web = await startWebServer(repositories);
    web.files.set('/file', { body: VISIBLE });
    const { records, content, clock, ids } = f.store;
    secrets = new RecordsSecretStore(records, { key: Buffer.alloc(32, 7) });
    builds = createBuilds({ records, content, queue: f.queue, clock, ids, secrets });
  });
  afterAll(async () => {
    await web.close();
    await host.close();
  });

  const submit = async (lines: string, request: Partial<BuildRequest> = {}): Promise<string> => {
    const port = new URL(web.url).port;
    const { file, env, unused, http, git: token } = CANARIES;
    const names = { [`HTTP_AUTH_TOKEN_127.0.0.1:${port}`]: http, [`GIT_AUTH_TOKEN.127.0.0.1:${port}`]: token };
    const given = Object.entries({ file, env, unused, ...names }).map(([id, v]) => [id, Buffer.from(v)] as const);
    const context = await f.context({ Dockerfile: `FROM busybox\n${lines}` });
    return (await builds.submit({ context, tags: ['canary'], ...request }, { secrets: new Map(given) })).id;
  };
  const ended = async (id: string): Promise<Build | undefined> => {
    for await (const event of builds.follow(id, 0)) told.push(JSON.stringify(event));
    const build = await builds.get(id);
    told.push(JSON.stringify(build));
    return build;
  };
  const worker = (builder: ImageBuilder, handOver?: HandOver): BuildWorker => {
    const { records, clock, ids } = f.store;
    const deps = { builds, records, queue: f.queue, clock, ids, logger, build: builder.build };
    return new BuildWorker(handOver === undefined ? deps : { ...deps, handOver });
  };

  /** As on AWS: begun where no RUN can be, and gone on with by a worker that is started for it. */
  const handedOver = async (id: string): Promise<void> => {
    const { records, content, clock, ids } = f.store;
    const started: string[] = [];
    const tasks = {
      start: (...about: readonly unknown[]) => {
        started.push(JSON.stringify(about));
        return Promise.resolve('task');
      },
      look: () => Promise.resolve({ status: 'under-way' } as const),
      stop: () => Promise.resolve(),
    };
    const platform = { os: 'linux', architecture: 'amd64' } as const;
    const parts = { records, content, clock, ids, images: f.registry, sandbox: sandboxElsewhere };
    const over = new HandOver({ builds, records, tasks, clock, logger });
    const [message] = await f.queue.receive({ max: 1, visibilitySeconds: 30, waitSeconds: 0 });
    if (message === undefined) throw new Error('no message');
    await worker(new ImageBuilder(parts, { platform }), over).handle(message);
    expect(started).toHaveLength(1);
    told.push(...started);
    expect(await worker(f.builder).work(id)).toBe(true);
  };

  test('are in no byte that is stored, logged or told', async () => {
    const over = await submit(`${SPOKEN}\nRUN ${MOUNTS} echo ${VISIBLE} handed over > /over`);
    await handedOver(over);
    const own = worker(f.builder);
    await own.start();
    const attestations = { provenance: { mode: 'max' }, sbom: { generator: 'scanner:1' } } as const;
    const caches = {
      cacheTo: [
        { type: 'registry', ref: 'canary:cache', mode: 'max' },
        { type: 'local', mode: 'max' },
      ],
    } as const;
    const fetched = `ADD ${web.url}/file /\nADD ${web.url}/git/app.git /src`;
    const requests = [
      await submit(SPOKEN, { attestations }),
      await submit(`${SPOKEN}\n${fetched}`, { attestations, ...caches }),
      await submit(`${SPOKEN}\nCOPY --from=busybox /etc /x`, { attestations, cacheTo: [{ type: 'inline' }] }),
      await submit(FAILING, { attestations }),
      await submit('ADD http://127.0.0.1:9/x /'),
    ];
    const outcomes: (string | undefined)[] = [];
    for (const id of [over, ...requests]) {
      const build = await ended(id);
      outcomes.push(build?.error?.code ?? build?.status);
    }
    await own.stop();
    expect(outcomes).toEqual([
      'succeeded',
      'succeeded',
      'succeeded',
      'succeeded',
      'BUILD_RUN_FAILED',
      'BUILD_REMOTE_UNREACHABLE',
    ]);
    // They were used: at both servers, and where RUN spoke them.
    expect(new Set(web.authorizations).size).toBe(2);
    expect(told.filter((line) => line.includes('***')).length).toBeGreaterThan(1);
    expect(told.filter((line) => holdsCanary(Buffer.from(line), canaries))).toEqual([]);
    expect(await new BuildSecrets(secrets).builds()).toEqual([]);
    const roots = [f.store.directory, host.directory, host.scope.directory, `/run/wharf-${host.scope.id}`];
    const { hits, visible } = await searchCanaries(roots, canaries, VISIBLE);
    expect(hits).toEqual([]);
    expect(visible).toBeGreaterThan(1);
  }, 60_000);

  test('would be found', async () => {
    const other = await buildFixture();
    await other.context({ file: `x ${CANARIES.file}`, other: VISIBLE });
    const { hits, visible } = await searchCanaries([other.store.directory], canaries, VISIBLE);
    await other.close();
    expect([hits.length, visible]).toEqual([1, 1]);
  });
});
