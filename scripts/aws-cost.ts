/** Writes docs/aws/cost.md from the table of prices; `--check` says whether it is as the table gives it. */
import { readFileSync, writeFileSync } from 'node:fs';
import {
  byHandMonth,
  type CostLine,
  idleMonth,
  type IdleOptions,
  PRICES,
  teamMonth,
  thousandBuilds,
  thousandBuildsByHand,
  total,
  WHOLE_PLATFORM,
} from '../lib/constructs/cost.js';

const FILE = 'docs/aws/cost.md';
const image: IdleOptions = { ...WHOLE_PLATFORM, secrets: 1, queues: 1, hasSchedules: false };

const money = (dollars: number): string => dollars.toFixed(2);

function table(lines: readonly CostLine[]): string {
  const rows = [...lines, { what: '**together**', dollars: total(lines) }];
  return ['| | US$ |', '| --- | ---: |', ...rows.map(({ what, dollars }) => `| ${what} | ${money(dollars)} |`)].join(
    '\n',
  );
}

function compared(): string {
  const lines = teamMonth();
  const sum = (of: 'wharf' | 'byHand'): number => lines.reduce((all, line) => all + line[of], 0);
  const rows = [...lines, { what: '**together**', wharf: sum('wharf'), byHand: sum('byHand') }];
  const text = rows.map(({ what, wharf, byHand }) => `| ${what} | ${money(wharf)} | ${money(byHand)} |`);
  return ['| | Wharf | by hand |', '| --- | ---: | ---: |', ...text].join('\n');
}

const { s3GiBMonth, ecrGiBMonth, transferOutGiB } = PRICES;
const text = `# What it costs

Made by \`npx tsx scripts/aws-cost.ts\` from \`lib/constructs/cost.ts\`: prices of ${PRICES.region} in ${PRICES.date}, without
free tiers. They agree with what tools that reckon costs publish of AWS's price lists. **None was compared with AWS's own
pages or a bill: check them before you rely on a sum.**
\`cdk synth\` prints the first sum. Not in the sums: logs, flow logs and Container Insights, which grow with what runs.

## Per month, when nothing happens

The platform, from zero instances:

${table(idleMonth(WHOLE_PLATFORM))}

Only \`DockerfileImage\`, with the builder it brings:

${table(idleMonth(image))}

The platform with one instance that stays, a dashboard and alarms:

${table(idleMonth({ ...WHOLE_PLATFORM, minInstances: 1, hasMonitoring: true }))}

The platform with a \`RegistryFront\`, for which an instance stays:

${table(idleMonth({ ...WHOLE_PLATFORM, minInstances: 1, hasRegistryFront: true }))}

By hand, with a NAT gateway and a load balancer, before any instance:

${table(byHandMonth())}

Wharf makes no NAT gateway and no interface endpoint, and a load balancer only with \`RegistryFront\`.

## A month of a small team, beside CodeBuild, ECR, a load balancer and a NAT gateway

One instance that stays, 1,000 builds of a minute, 100 GB of images. Wharf makes no load balancer for services yet; the
one in its column is yours to make, or that of \`RegistryFront\`.

${compared()}

A NAT gateway is not a must by hand either: without it the sums are the nearer to one another, and the instances have
addresses, as those of Wharf do. Who pulls through a NAT gateway pays US$ ${PRICES.natGiB} a GB beside.

## Per 1,000 builds

A build of a minute, without RUN, with 20 MB of new layers:

${table(thousandBuilds())}

By hand:

${table(thousandBuildsByHand())}

## Per 100 GB

| | US$ |
| --- | ---: |
| stored in the image bucket, a month | ${money(100 * s3GiBMonth)} |
| stored in ECR, a month (what was deployed is in both) | ${money(100 * ecrGiBMonth)} |
| pulled by instances in the region, by the gateway endpoint or from ECR | 0.00 |
| pulled by clients outside AWS | ${money(100 * transferOutGiB)} |
`;

if (process.argv.includes('--check')) {
  if (readFileSync(FILE, 'utf8') !== text)
    throw new Error(`${FILE} is not what the prices give: run this without --check`);
} else {
  writeFileSync(FILE, text);
}
