/** The functions as they are deployed: bundles of the synthesised app, each in a process of its own. */
import { afterAll, beforeAll, describe } from '@jest/globals';
import { buildSuite } from './build-suite.js';
import { cacheSuite } from './cache-suite.js';
import { type Cloud, openCloud } from './cloud.js';
import { imageResourceSuite } from './image-resource-suite.js';
import { madeClustersSuite } from './made-clusters-suite.js';
import { platformSuite } from './platform-suite.js';
import { registrySuite } from './registry-suite.js';
import { runbookSuite } from './runbook-suite.js';
import { sandboxProbeSuite } from './sandbox-probe-suite.js';
import { supplyChainSuite } from './supply-chain-suite.js';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await openCloud();
}, 120_000);
afterAll(() => cloud.close());

describe('bundled functions', () => {
  registrySuite(() => cloud);
  buildSuite(() => cloud);
  cacheSuite(() => cloud);
  supplyChainSuite(() => cloud);
  imageResourceSuite(() => cloud);
  madeClustersSuite(() => cloud);
  platformSuite(() => cloud);
  sandboxProbeSuite(() => cloud);
  runbookSuite(() => cloud);
});
