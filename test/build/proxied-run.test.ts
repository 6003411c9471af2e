/** RUN whose only way out is the proxy: what it reaches, what is kept of it, and that nothing else is left. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { BuildRequest } from '../../lib/build/index.js';
import { type Digest, parseManifestDocument } from '../../lib/oci/index.js';
import { requireTools } from '../host-tools.js';
import { BuilderHost, SMALL_MEMORY } from './builder-host.js';
import { type BuildFixture, type Built, busyboxFiles, failure, textOf } from './fixture.js';
import { startWebServer, type WebServer } from './remote-server.js';

requireTools('root', 'runc', 'bridge', 'nsenter').describe('RUN behind a proxy', () => {
  let f: BuildFixture;
  let host: BuilderHost;
  let web: WebServer;

  beforeAll(async () => {
    web = await startWebServer();
    web.files.set('/tool', { body: 'a tool' });
    host = await BuilderHost.open();
    const sandbox = { ...SMALL_MEMORY, allow: ['network.host' as const] };
    f = await host.builder({ sandbox, hasNetwork: true, fetching: { egress: { allow: ['127.0.0.1/32'] } } });
    await f.push('trusting', {
      ...(await busyboxFiles()),
      'etc/ssl/': {},
      'etc/ssl/certs/': {},
      'etc/ssl/certs/ca-certificates.crt': { content: '# those that everybody trusts\n', mode: 0o640 },
    });
  });
  afterAll(async () => {
    await host.close();
    await web.close();
  });

  const build = (lines: string, more: Partial<BuildRequest> = {}): Promise<Built> =>
    f.build({ Dockerfile: `FROM trusting\n${lines}` }, { run: { proxyNetwork: true }, ...more });
  const output = ({ events }: Built): string =>
    events.map((event) => (event.type === 'step-output' ? event.text : '')).join('');
  const predicate = async ({ result }: Built) => {
    const digest = result.platforms?.[0]?.attestations ?? ('' as Digest);
    const stored = await f.registry.manifest('app', { digest });
    const document = parseManifestDocument(stored?.bytes ?? Buffer.alloc(0), stored?.mediaType ?? '');
    const layer = document.kind === 'manifest' ? document.manifest.layers[0]?.digest : undefined;
    const bytes = await f.store.content.read(layer ?? ('' as Digest));
    return JSON.parse(bytes?.toString() ?? '').predicate;
  };

  test('its fetches are told, and stand in the provenance, from the cache too', async () => {
    const sha256 = createHash('sha256').update('a tool').digest('hex');
    const material = { uri: `${web.url}/tool`, digest: { sha256 } };
    const attestations = { provenance: {} };
    const lines = `RUN NO_PROXY= no_proxy= wget -q -O /tool ${web.url}/tool && ! wget -q -O /none ${web.url}/none; rm -f /none`;
    const built = await build(lines, { attestations });
    expect(output(built)).toContain(
      `proxy network requests:\n- GET ${web.url}/tool -> 200\n- GET ${web.url}/none -> 404\n`,
    );
    for (const each of [built, await build(lines, { attestations })]) {
      const { buildDefinition, runDetails } = await predicate(each);
      expect(buildDefinition.resolvedDependencies).toContainEqual(material);
      expect(runDetails.metadata.buildkit_metadata.network).toEqual({
        mode: 'proxy',
        proxy: {
          incomplete: [
            {
              name: expect.stringMatching(/^RUN /),
              method: 'GET',
              uri: `${web.url}/none`,
              reason: 'unsuccessful_response',
            },
          ],
        },
      });
      expect(runDetails.metadata.buildkit_completeness.resolvedDependencies).toBe(false);
    }
    // A step that was made with another network is another step, and nothing is said of it.
    const other = await build(lines.replace('RUN', 'RUN --network=host'), {
      attestations,
      allow: ['network.host'],
      run: {},
    });
    expect(other.result.stepsCached).toBe(0);
    expect((await predicate(other)).runDetails.metadata.buildkit_metadata).toEqual({});
  });

  test('there is no other way out', async () => {
    const built = await build(
      'RUN ls /sys/class/net; ip route; ! nc -w 1 192.0.2.1 80 </dev/null; ! nc -w 1 127.0.0.1 1 </dev/null; env | grep -ci ^http.*_proxy=http://127',
    );
    expect(output(built).replace(/nc: .*\n/g, '')).toBe('lo\n4\n');
    const without = await build('RUN --network=none env | grep -i proxy; true');
    expect(output(without)).toBe('');
    const refused = await failure(
      build(`RUN http_proxy=$http_proxy NO_PROXY= no_proxy= wget -q -O /x http://127.0.0.2:1/`),
    );
    expect(refused.code).toBe('BUILD_RUN_FAILED');
    // What the command said last, and not what we add to it.
    expect(refused.message).toMatch(/failed with exit code 1: wget: .*403 Forbidden$/);
    expect(JSON.stringify(refused.details)).toMatch(
      /http:\/\/127.0.0.2:1\/ -> 403: .*builds do not fetch from addresses like this/,
    );
  });

  test("a RUN with the host's network reaches what the host reaches", async () => {
    const lines = 'RUN --network=host NO_PROXY= no_proxy= wget -q -O /x http://127.0.0.2:1/; ls /sys/class/net';
    const built = await build(lines, { allow: ['network.host'] });
    // Nobody listens there, and nobody forbids it.
    expect(output(built)).toMatch(/^lo$[^]*http:\/\/127.0.0.2:1\/ -> 502/m);
  });

  test('a source policy holds for what RUN fetches', async () => {
    const sourcePolicy = { rules: [{ action: 'DENY' as const, selector: { identifier: `${web.url}/*` } }] };
    const built = await build(`RUN NO_PROXY= no_proxy= wget -q -O /x ${web.url}/tool; true`, { sourcePolicy });
    expect(output(built)).toMatch(/\/tool -> 403/);
  });

  test('a file outside of the image holds the authority, for programs with stores of their own', async () => {
    const names = 'SSL_CERT_FILE REQUESTS_CA_BUNDLE GIT_SSL_CAINFO NODE_EXTRA_CA_CERTS';
    const lines = [
      'ENV GIT_SSL_CAINFO=/own',
      `RUN rm /etc/ssl/certs/ca-certificates.crt; for name in ${names}; do eval echo "\\$$name"; done; grep -c BEGIN $SSL_CERT_FILE`,
      'RUN ls /dev/pipes; touch /made',
    ];
    const built = await build(lines.join('\n'));
    const file = '/dev/pipes/wharf-build-proxy.pem';
    expect(output(built)).toBe(`${[file, file, '/own', file].join('\n')}\n1\nwharf-build-proxy.pem\n`);
    const tree = await f.tree(built.result.digest);
    expect(tree.lookup('dev/pipes')).toBeUndefined();
  });

  test('its authority is trusted while it runs, and is in no layer', async () => {
    const bundle = '/etc/ssl/certs/ca-certificates.crt';
    const built = await build(`RUN grep -c "BEGIN CERTIFICATE" ${bundle} && touch /made`);
    expect(output(built)).toBe('1\n');
    const made = await f.layer(built.result.layers.at(-1)?.digest ?? ('' as Digest));
    expect(made.map(({ path }) => path)).toEqual(['made']);
    const changed = await build(`RUN echo "# and one more" >> ${bundle}`);
    expect(await textOf(await f.tree(changed.result.digest), bundle)).toBe(
      '# those that everybody trusts\n# and one more\n',
    );
    // A link that a command puts in its place leads nowhere.
    const led = await build(`RUN rm ${bundle} && ln -s /../../../../../../../etc/passwd ${bundle}`);
    const entries = await f.layer(led.result.layers.at(-1)?.digest ?? ('' as Digest));
    expect(entries.at(-1)).toMatchObject({ path: bundle.slice(1), type: 'symlink' });
  });
});
