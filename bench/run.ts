/**
 * Benchmarks, side by side with what Wharf replaces:
 *   npm run bench -- registry    pushes and pulls against CNCF distribution
 *   npm run bench -- build       builds against docker and buildah
 *   npm run bench -- engine      tasks, from placement alone to containers beside docker run
 *   npm run bench -- cold-start  the Lambda functions against an empty one
 *   npm run bench -- functions   what each Lambda function needs of processor and memory
 * See bench/README.md for the options.
 */
import { parseArgs } from 'node:util';
import { machine, Session } from './session.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  strict: true,
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string' },
    clients: { type: 'string', short: 'c' },
    images: { type: 'string', short: 'n' },
    manifests: { type: 'string' },
    apt: { type: 'boolean', default: false },
  },
});
const { quick, only, apt } = values;
const filter = only === undefined ? {} : { only };

const [subject = ''] = positionals;
switch (subject) {
  case 'registry': {
    const { benchRegistry } = await import('./registry/run.js');
    const images = number(values.images, quick ? 10 : 100);
    const manifests = number(values.manifests, quick ? 500 : 20_000);
    const settings = { clients: number(values.clients, 10), rounds: number(values.rounds, quick ? 3 : 5) };
    await measured((session) => benchRegistry(session, { ...settings, scale: images / 100, manifests, ...filter }));
    break;
  }
  case 'build': {
    const { benchBuild } = await import('./build/run.js');
    const rounds = number(values.rounds, quick ? 1 : 3);
    await measured((session) => benchBuild(session, { rounds, scale: quick ? 0.05 : 1, apt, ...filter }));
    break;
  }
  case 'engine': {
    const { benchEngine } = await import('./engine/run.js');
    await measured((session) =>
      benchEngine(session, { quick, rounds: number(values.rounds, quick ? 12 : 60), ...filter }),
    );
    break;
  }
  case 'cold-start': {
    const { benchColdStart } = await import('./cold-start.js');
    const rounds = number(values.rounds, quick ? 3 : 11);
    await measured((session) => benchColdStart(session, { rounds, ...filter }));
    break;
  }
  case 'functions': {
    const { benchFunctions } = await import('./functions.js');
    const rounds = number(values.rounds, quick ? 2 : 7);
    await measured((session) => benchFunctions(session, { rounds, ...filter }));
    break;
  }
  default:
    fail('npm run bench -- registry | build | engine | cold-start | functions [--quick]');
}

async function measured(run: (session: Session) => Promise<void>): Promise<void> {
  const session = new Session();
  console.log(`${new Date().toISOString()}: ${await machine()}`);
  try {
    await run(session);
  } finally {
    await session.close();
    console.log(`\nraw rounds: ${session.results}`);
  }
}

function number(text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!(value >= 0 && Number.isFinite(value))) fail(`${text} is not a number`);
  return value;
}

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}
