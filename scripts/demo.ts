/**
 * The main job on real input, in embedded mode: build examples/hello, run it as a service of two tasks, change one
 * file, build and roll it out while a client keeps asking, roll back, and leave nothing behind. Exit code 0 means that
 * every line marked "ok" was checked.
 */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WharfClient } from '../lib/client/index.js';
import { toAppError } from '../lib/errors/index.js';
import { type EmbeddedPlatform, startEmbedded } from '../lib/host/embedded/platform.js';
import { hostResidue } from '../lib/runtime/index.js';
import { BASE_IMAGE, pushBaseImage } from './base-image.js';
import { newBytes, Releases } from './demo/releases.js';
import { type Address, get, startAsking } from './demo/steady-client.js';
import { Story } from './demo/story.js';

const CLUSTER = 'demo';
const SERVICE = 'hello';
const LONGEST_WAIT_MS = 60_000;

const story = new Story();
const folder = await mkdtemp(join(tmpdir(), 'wharf-demo-'));
const data = join(folder, 'data');
const source = join(folder, 'hello');
const started = performance.now();
let platform: EmbeddedPlatform | undefined;
let failure: unknown;
try {
  await cp('examples/hello', source, { recursive: true });
  platform = await story.step('start the platform', () =>
    startEmbedded({ data, listen: { host: '127.0.0.1', port: 0 } }),
  );
  story.say(`one port serves API, registry, ECS and console: ${platform.url}`);
  await tell(platform, new WharfClient(platform));
} catch (error) {
  failure = error;
}
try {
  if (platform !== undefined) await cleanUp(platform);
} catch (error) {
  failure ??= error;
}
if (failure === undefined) await rm(folder, { recursive: true, force: true });
if (failure !== undefined) {
  const { message, hint } = toAppError(failure);
  console.error(
    `\ndemo: ${message}${hint === undefined ? '' : `\n      ${hint}`}\n      its files are left in ${folder}`,
  );
  process.exit(1);
}
console.log(`\n${story.table()}`);
console.log(`\nEverything above was checked, in ${((performance.now() - started) / 1000).toFixed(1)} s. What to try next:
  npm start                                   a platform of your own; it prints its URL, a token and what to try
  npx wharf build . -t app:1                  build any folder with a Dockerfile
  npx wharf --help                            all commands
  docs/architecture.md                        how it works`);
process.exit(0);

function releasesOf({ scopeId }: EmbeddedPlatform, wharf: WharfClient): Releases {
  return new Releases(story, wharf, {
    cluster: CLUSTER,
    service: SERVICE,
    source,
    scopeId,
    longestMs: LONGEST_WAIT_MS,
  });
}

async function tell(at: EmbeddedPlatform, wharf: WharfClient): Promise<void> {
  const releases = releasesOf(at, wharf);
  const address: Address = { port: Number(new URL(at.url).port), host: `${SERVICE}.${CLUSTER}.localhost` };

  await story.step('make a cluster of two container instances', async () => {
    await wharf.clusters.put(CLUSTER, { instances: 2 });
    const instances = await wharf.clusters.instances(CLUSTER);
    story.check('two instances are registered', instances.length === 2, `${instances.length}`);
  });
  await story.step("push a base image made from this machine's busybox", async () => {
    const digest = await pushBaseImage(at);
    story.say(`${BASE_IMAGE.repository}:${BASE_IMAGE.tag} ${digest}`);
  });

  const first = await story.step('build release 1', () => releases.build(`${SERVICE}:1`), newBytes);
  const image = await wharf.images.get(`${SERVICE}:1`);
  story.check('the registry has the image under the digest that was built', image.digest === first.digest);
  for (const layer of image.layers ?? []) story.say(`layer ${layer.digest} ${layer.size} bytes`);

  await story.step('deploy it as a service of two tasks', async () => {
    await releases.rollOut(await wharf.services.put(CLUSTER, SERVICE, { image: `${SERVICE}:1`, count: 2 }));
    await releases.checkTasks('release 1');
  });

  await releases.rebuild(first, `${SERVICE}:2`);

  await story.step('roll release 2 out while a client keeps asking', async () => {
    const asking = startAsking(address, '/release.txt');
    await releases.rollOut(await wharf.services.put(CLUSTER, SERVICE, { image: `${SERVICE}:2`, count: 2 }));
    const { ok, failed, answers, firstFailure } = await asking.stop();
    for (const [answer, count] of answers) story.say(`${count} answers: ${answer}`);
    story.check(`no request of ${ok + failed} failed`, failed === 0 && ok > 0, firstFailure);
    story.check('both releases answered', answers.size === 2, [...answers.keys()].join(', '));
    await releases.checkTasks('release 2');
  });

  await story.step('roll back to release 1', async () => {
    const asking = startAsking(address, '/release.txt');
    await releases.rollOut(await wharf.services.rollback(CLUSTER, SERVICE, 1));
    const { ok, failed, firstFailure } = await asking.stop();
    story.check(`no request of ${ok + failed} failed`, failed === 0 && ok > 0, firstFailure);
    await releases.checkTasks('release 1');
    const page = await get(address, '/');
    story.check('the page is served through the front', page.body.includes('Hello from Wharf'), page.body);
  });
}

async function cleanUp(at: EmbeddedPlatform): Promise<void> {
  await story.step('stop everything', async () => {
    const wharf = new WharfClient(at);
    const releases = releasesOf(at, wharf);
    const { clusters } = await wharf.clusters.list();
    for (const cluster of clusters) await wharf.clusters.remove(cluster.name, { force: true });
    await releases.until('all clusters are gone', async () => (await wharf.clusters.list()).clusters.length === 0);
    await at.close();
    const left = await hostResidue({ id: at.scopeId, directory: join(data, 'runtime') });
    story.check('no process, mount, network namespace, bridge or rule is left', left.length === 0, left.join('; '));
  });
}
