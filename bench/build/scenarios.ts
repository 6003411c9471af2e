/** What is measured: each scenario prepares its inputs once, and takes one builder through its builds in each round. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildCost, Builder } from './builder.js';
import { busyboxLayout, debianLayout, manyFiles } from './inputs.js';

export interface Scenario {
  readonly name: string;
  /** Whether RUN must reach the outside. */
  readonly network?: boolean;
  prepare(folder: string, scale: number): Promise<Prepared>;
}

export interface Prepared {
  /** OCI layouts, by the name under which the builder gets them. */
  readonly bases: Readonly<Record<string, string>>;
  /** A fresh builder through all measured builds, in order. @param bases their names for FROM @param round its number */
  run(builder: Builder, bases: Readonly<Record<string, string>>, round: number): Promise<readonly Measured[]>;
}

export interface Measured {
  readonly what: string;
  readonly cost: BuildCost;
}

const BASE = 'ARG BASE\nFROM ${BASE}\n';
const SLOW_SECONDS = 4;

export function scenarios(withApt: boolean): readonly Scenario[] {
  return [context, cached, copyOnLarge, ...(withApt ? [aptInstall] : []), slowStages];
}

const context: Scenario = {
  name: '(a) context of 20,000 files, 400 MB',
  async prepare(folder, scale) {
    const files = join(folder, 'context');
    await mkdir(files, { recursive: true });
    await manyFiles(files, Math.round(20_000 * scale), Math.round(400e6 * scale));
    await writeFile(join(files, 'Dockerfile'), `${BASE}COPY src /app\n`);
    return {
      bases: { BASE: await busyboxLayout(join(folder, 'base')) },
      async run(builder, args, round) {
        const order = { context: files, name: 'context', args };
        const cold = await builder.build(order);
        const unchanged = await builder.build(order);
        await writeFile(join(files, 'src/0/0/file-0.js'), `// round ${round} of ${builder.name}\n`);
        const changed = await builder.build(order);
        return [
          { what: 'cold', cost: cold },
          { what: 'unchanged', cost: unchanged },
          { what: 'one file changed', cost: changed },
        ];
      },
    };
  },
};

const cached: Scenario = {
  name: '(b) 60 steps in 10 stages, fully cached',
  async prepare(folder) {
    const files = join(folder, 'context');
    await mkdir(files, { recursive: true });
    const stages = Array.from({ length: 10 }, (_, i) => {
      const from = i === 0 ? [] : [`COPY --from=stage${i - 1} /work/out${i - 1} /work/in`];
      const steps = [`WORKDIR /work`, `COPY file${i} /work/`, ...from, `ENV STAGE=${i}`, `RUN echo ${i} > out${i}`];
      const rest = Array.from({ length: 6 - steps.length }, (_ignored, n) => `RUN echo ${i} ${n} > more${n}`);
      return [`FROM \${BASE} AS stage${i}`, ...steps, ...rest].join('\n');
    });
    for (let i = 0; i < 10; i++) await writeFile(join(files, `file${i}`), `${i}\n`);
    await writeFile(join(files, 'Dockerfile'), `ARG BASE\n${stages.join('\n')}\n`);
    return {
      bases: { BASE: await busyboxLayout(join(folder, 'base')) },
      async run(builder, args) {
        const order = { context: files, name: 'cached', args };
        await builder.build(order);
        return [{ what: 'cached', cost: await builder.build(order) }];
      },
    };
  },
};

const copyOnLarge: Scenario = {
  name: '(c) COPY on a base image of 1 GB',
  async prepare(folder, scale) {
    const files = join(folder, 'context');
    await mkdir(files, { recursive: true });
    await writeFile(join(files, 'Dockerfile'), `${BASE}COPY file /app/\n`);
    return {
      bases: { BASE: await busyboxLayout(join(folder, 'base'), Math.round(1e9 * scale)) },
      async run(builder, args, round) {
        const order = { context: files, name: 'large', args };
        await writeFile(join(files, 'file'), 'first\n');
        const first = await builder.build(order);
        await writeFile(join(files, 'file'), `round ${round} of ${builder.name}\n`);
        const again = await builder.build(order);
        return [
          { what: 'first build on the base', cost: first },
          { what: 'another file', cost: again },
        ];
      },
    };
  },
};

const aptInstall: Scenario = {
  name: '(d) apt-get install on Debian',
  network: true,
  async prepare(folder) {
    const contextOf = async (name: string, packages: string): Promise<string> => {
      const files = join(folder, name);
      await mkdir(files, { recursive: true });
      const install = `apt-get update && apt-get install -y --no-install-recommends ${packages} && rm -rf /var/lib/apt/lists/*`;
      await writeFile(join(files, 'Dockerfile'), `${BASE}RUN ${install}\n`);
      return files;
    };
    const contexts = [await contextOf('curl', 'curl'), await contextOf('git', 'git')] as const;
    return {
      bases: { BASE: await debianLayout(join(folder, 'base')) },
      async run(builder, args) {
        const [first, other] = contexts;
        return [
          { what: 'first RUN on the base', cost: await builder.build({ context: first, name: 'apt', args }) },
          { what: 'another package', cost: await builder.build({ context: other, name: 'apt', args }) },
        ];
      },
    };
  },
};

const slowStages: Scenario = {
  name: `(e) two independent stages of ${SLOW_SECONDS} s`,
  async prepare(folder) {
    const stage = (name: string): string =>
      `FROM \${BASE} AS ${name}\nRUN sleep ${SLOW_SECONDS} && echo ${name} > /${name}\n`;
    const dockerfile = (...names: string[]): string => {
      const copies = names.map((name) => `COPY --from=${name} /${name} /${name}\n`);
      return ['ARG BASE\n', ...names.map(stage), 'FROM ${BASE}\n', ...copies].join('');
    };
    const contexts = { alone: join(folder, 'alone'), both: join(folder, 'both') };
    for (const files of Object.values(contexts)) await mkdir(files, { recursive: true });
    await writeFile(join(contexts.alone, 'Dockerfile'), dockerfile('alone'));
    await writeFile(join(contexts.both, 'Dockerfile'), dockerfile('left', 'right'));
    return {
      bases: { BASE: await busyboxLayout(join(folder, 'base')) },
      async run(builder, args) {
        const alone = await builder.build({ context: contexts.alone, name: 'alone', args });
        const both = await builder.build({ context: contexts.both, name: 'stages', args });
        return [
          { what: 'one of them alone', cost: alone },
          { what: 'both', cost: both },
        ];
      },
    };
  },
};
